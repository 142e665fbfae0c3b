"""Acknowledged is stored, once, whatever is killed, stopped, frozen or full meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL, make_url

from app.infra.db.migrate import upgrade
from app.infra.postgres.embedded import EmbeddedPostgres
from app.kernel.clock import SystemClock
from tests.support.load import Load, reconcile
from tests.support.long import LONG
from tests.support.process import Process
from tests.support.sign_up import sign_up

pytestmark = pytest.mark.slow


def a_moment_ago() -> str:
    return (SystemClock().now() - timedelta(minutes=10)).isoformat()


async def a_load(*processes: Process, **options: float) -> Load:
    account = await asyncio.to_thread(sign_up, processes[0].url)
    urls = [process.url for process in processes]
    return Load(urls, account.headers, a_moment_ago(), **options)  # type: ignore[arg-type]


async def until(load: Load, acknowledged: int) -> None:
    deadline = time.monotonic() + 60
    while len(load.acknowledged) < acknowledged:
        assert time.monotonic() < deadline, load.answers
        await asyncio.sleep(0.005)


class Database:
    """A durable Postgres of its own, whose processes a test may kill and freeze."""

    def __init__(self, home: Path) -> None:
        self.postgres = EmbeddedPostgres(home, durable=True)
        self.postgres.start()
        self.postgres.ensure_database("billing")
        self.url: URL = make_url(self.postgres.url("billing"))

    @property
    def postmaster(self) -> int:
        return int((self.postgres.cluster / "postmaster.pid").read_text().split()[0])

    def processes(self) -> list[int]:
        """The postmaster first, so that no backend is born behind its back."""
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text()
        return [self.postmaster, *map(int, children.split())]

    def signal(self, number: signal.Signals) -> None:
        for pid in self.processes():
            os.kill(pid, number)


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: the embedded server's user must be able to enter it.
    directory = Path(tempfile.mkdtemp(prefix="aragora-durability-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def database(home: Path) -> AsyncIterator[Database]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks at processes the way Linux shows them")
    database = await asyncio.to_thread(Database, home / "postgres")
    try:
        await upgrade(database.url)
        yield database
    finally:
        await asyncio.to_thread(database.postgres.destroy)


@LONG
async def test_one_of_two_processes_is_killed_and_comes_back(
    fresh_url: URL, tmp_path: Path
) -> None:
    with Process(fresh_url, tmp_path) as one, Process(fresh_url, tmp_path) as two:
        load = await a_load(one, two)
        running = asyncio.create_task(load.run(8))
        for round_ in (1, 2):
            await until(load, 400 * round_)
            await asyncio.to_thread(one.kill)
            await asyncio.to_thread(one.start)
        await until(load, len(load.acknowledged) + 400)
        load.stopped.set()
        await running
        assert load.cut, "it was killed between requests, which proves nothing"
        await reconcile(fresh_url, load)
        await load.send_all_again()
        assert await reconcile(fresh_url, load) == sum(len(rows) for rows in load.sent)


async def test_postgres_is_killed_under_load(database: Database, tmp_path: Path) -> None:
    with Process(database.url, tmp_path) as one, Process(database.url, tmp_path) as two:
        load = await a_load(one, two)
        running = asyncio.create_task(load.run(8))
        for round_ in (1, 2):
            await until(load, 300 * round_)
            os.kill(database.postmaster, signal.SIGKILL)
            await asyncio.to_thread(database.postgres.start)
            await until(load, len(load.acknowledged) + 100)
        load.stopped.set()
        await running
        assert load.cut == [], "a process that lives answers, if only 503"
        assert load.answers[503] > 0
        await reconcile(database.url, load)
        await load.send_all_again()
        assert await reconcile(database.url, load) == sum(len(rows) for rows in load.sent)


async def test_asked_to_stop_it_answers_whatever_was_sent(fresh_url: URL, tmp_path: Path) -> None:
    """Under load over kept connections: none of them ends without the answer to its request."""
    process = Process(fresh_url, tmp_path).start()
    load = await a_load(process)
    running = asyncio.create_task(load.run(16))
    await until(load, 500)
    await asyncio.to_thread(process.stop)
    load.stopped.set()
    await running
    assert load.cut == []
    assert set(load.answers) == {200, 201}
    assert load.refused >= 16, "every worker has seen the process leave"
    assert await reconcile(fresh_url, load) == len(load.acknowledged)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [pytest.param(5, marks=LONG), pytest.param(30, marks=LONG)])
async def test_postgres_stands_still(database: Database, tmp_path: Path, seconds: int) -> None:
    """Nothing is lost, too much is refused, and waiting costs little memory."""
    with Process(database.url, tmp_path) as process:
        load = await a_load(process)
        flood = Load(load.urls, load.headers, load.at, batch=1000, pause=0.2, with_singles=False)
        running = asyncio.create_task(load.run(8))
        await until(load, 200)
        before = resident_mib(process.pid)
        database.signal(signal.SIGSTOP)
        try:
            flooding = asyncio.create_task(flood.run(50, "flood"))
            await asyncio.sleep(seconds)
            # A slow machine takes longer to send more than may wait.
            deadline = time.monotonic() + 10
            while not flood.answers[503] and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            during = resident_mib(process.pid)
            async with httpx.AsyncClient(base_url=process.url, timeout=10) as http:
                assert (await http.get("/health/live")).status_code == 200
                assert (await http.get("/health/ready")).status_code == 503
        finally:
            flood.stopped.set()
            database.signal(signal.SIGCONT)
        thawed = len(load.acknowledged)
        await until(load, thawed + 100)
        load.stopped.set()
        await running
        await flooding
        assert load.cut == flood.cut == []
        assert flood.answers[503] > 0, "more waited than may wait"
        assert during - before < 250, f"{before} MiB before, {during} MiB while nothing was written"
        load.acknowledged |= flood.acknowledged
        await reconcile(database.url, load)
        print(f"\n{seconds} s: {before} -> {during} MiB, {load.answers}, flood {flood.answers}")


def resident_mib(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


@contextmanager
def a_small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of that size; skips where this user may not mount one."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "tmpfs", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@LONG
@pytest.mark.timeout(240)
async def test_the_disk_is_full(home: Path, tmp_path: Path) -> None:
    with a_small_disk(home / "disk", 300) as disk:
        database = await asyncio.to_thread(Database, disk / "postgres")
        try:
            await upgrade(database.url)
            with Process(database.url, tmp_path) as process:
                load = await a_load(process, batch=400)
                running = asyncio.create_task(load.run(6))
                await until(load, 1_000)
                filler = disk / "filler"
                free = shutil.disk_usage(disk).free
                filler.write_bytes(bytes(free - 2**20))
                deadline = time.monotonic() + 60
                while load.answers[503] < 5:
                    assert time.monotonic() < deadline, "the disk did not fill"
                    await asyncio.sleep(0.05)
                filler.unlink()
                full = len(load.acknowledged)
                while len(load.acknowledged) < full + 1_000:
                    assert time.monotonic() < deadline, "it did not heal"
                    # `serve` looks after its database; here the test does.
                    await asyncio.to_thread(database.postgres.start)
                    await asyncio.sleep(0.2)
                load.stopped.set()
                await running
                assert load.cut == []
                await reconcile(database.url, load)
                await load.send_all_again()
                rows = await reconcile(database.url, load)
                assert rows == sum(len(rows) for rows in load.sent)
        finally:
            await asyncio.to_thread(database.postgres.destroy)
