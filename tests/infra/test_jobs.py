"""A job is part of the commit that asked for it, and a worker outlives its database."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import asyncpg
import pytest
from pgqueuer import AsyncpgDriver
from pgqueuer.errors import FailingListenerError
from pgqueuer.models import Schedule
from pgqueuer.queries import Queries
from sqlalchemy import URL, text

from app.infra.db.engine import Sessions, asyncpg_arguments, create_engine, create_sessions
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.jobs import worker as jobs
from app.infra.jobs.queue import JobQueue
from app.infra.jobs.worker import Scheduled, Worker
from app.kernel.clock import ManualClock, SystemClock


async def waiting(sessions: Sessions) -> int:
    async with sessions() as session, session.begin():
        return await session.scalar(text("select count(*) from pgqueuer"))


@pytest.fixture
async def fresh(fresh_url: URL):
    engine = create_engine(fresh_url)
    yield create_sessions(engine)
    await engine.dispose()


@pytest.fixture
def fresh_work(fresh: Sessions) -> UnitOfWork:
    return UnitOfWork(fresh, JobQueue(SystemClock()))


async def test_a_rolled_back_unit_leaves_no_job(fresh_work: UnitOfWork, fresh: Sessions) -> None:
    with pytest.raises(LookupError):
        async with fresh_work.begin_platform():
            fresh_work.enqueue("probe", {"n": 1})
            raise LookupError
    assert await waiting(fresh) == 0
    async with fresh_work.begin_platform():
        fresh_work.enqueue("probe", {"n": 1})
    assert await waiting(fresh) == 1


async def test_the_librarys_own_driver_would_have_kept_it(fresh: Sessions) -> None:
    """The negative control: on the raw connection an enqueue that comes first is not rolled back."""
    with pytest.raises(LookupError):
        async with fresh() as session, session.begin():
            raw = await (await session.connection()).get_raw_connection()
            driver = AsyncpgDriver(cast("asyncpg.Connection[Any]", raw.driver_connection))
            await Queries(driver).enqueue("probe", b"{}")
            raise LookupError
    assert await waiting(fresh) == 1


async def test_one_key_waits_once(fresh_work: UnitOfWork, fresh: Sessions) -> None:
    for _ in range(3):
        async with fresh_work.begin_platform():
            fresh_work.enqueue("probe", {}, dedupe_key="the same")
    assert await waiting(fresh) == 1


async def test_a_job_runs_with_its_payload_and_is_gone(
    fresh_work: UnitOfWork, fresh: Sessions, fresh_url: URL
) -> None:
    seen: list[Mapping[str, Any]] = []

    async def probe(payload: Mapping[str, Any]) -> None:
        seen.append(payload)

    async with fresh_work.begin_platform():
        fresh_work.enqueue("probe", {"n": 1})
        fresh_work.enqueue("probe", {"n": 2}, due_at=SystemClock().now() + timedelta(hours=1))
    worker = Worker(fresh_url, {"probe": probe}, (), SystemClock())
    await worker.drain()
    assert seen == [{"n": 1}]
    assert await waiting(fresh) == 1, "the appointment of an hour from now still waits"


async def test_a_failing_job_is_kept(
    fresh_work: UnitOfWork, fresh: Sessions, fresh_url: URL
) -> None:
    async def probe(payload: Mapping[str, Any]) -> None:
        raise ValueError("no")

    async with fresh_work.begin_platform():
        fresh_work.enqueue("probe", {})
    with pytest.raises(ValueError):
        await Worker(fresh_url, {"probe": probe}, (), SystemClock()).drain()
    assert await waiting(fresh) == 1


async def test_a_worker_retries_and_survives_the_loss_of_its_connections(
    fresh_work: UnitOfWork, fresh_url: URL, postgres: URL
) -> None:
    done = asyncio.Event()
    calls = 0

    async def probe(payload: Mapping[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("once")
        done.set()

    worker = Worker(fresh_url, {"probe": probe}, (), SystemClock())
    running = asyncio.create_task(worker.run())
    try:
        await asyncio.sleep(0.5)
        admin = await asyncpg.connect(**asyncpg_arguments(postgres))
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = $1 and pid <> pg_backend_pid()",
            fresh_url.database,
        )
        await admin.close()
        await asyncio.sleep(0.2)
        for _ in range(50):
            try:
                async with fresh_work.begin_platform():
                    fresh_work.enqueue("probe", {})
                break
            except Exception:  # the pool's own connections died too
                await asyncio.sleep(0.1)
        await asyncio.wait_for(done.wait(), 30)
    finally:
        worker.stop()
        await asyncio.wait_for(running, 30)
    assert calls == 2


@pytest.mark.parametrize("most", [20, None])
async def test_a_backlog_is_worked_off_a_bounded_number_at_a_time(
    fresh_work: UnitOfWork, fresh_url: URL, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """And all of it at once where nothing bounds it: the negative control."""
    monkeypatch.setattr(jobs, "MAX_RUNNING", most)
    running = ran = peak = 0
    done = asyncio.Event()

    async def probe(payload: Mapping[str, Any]) -> None:
        nonlocal running, ran, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.5)
        running -= 1
        ran += 1
        if ran == 70:
            done.set()

    async with fresh_work.begin_platform():
        for number in range(70):
            fresh_work.enqueue("probe", {"number": number})
    worker = Worker(fresh_url, {"probe": probe}, (), SystemClock())
    working = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(done.wait(), 30)
    finally:
        worker.stop()
        await asyncio.wait_for(working, 30)
    assert ran == 70
    assert peak <= most if most else peak > 40


async def test_two_workers_run_a_tick_once(fresh_url: URL, fresh: Sessions) -> None:
    clock = ManualClock(SystemClock().now())
    async with asyncpg.create_pool(**asyncpg_arguments(fresh_url), min_size=1) as pool:
        first, second = (
            Worker(fresh_url, {}, (), clock)._enqueue_for(pool, Scheduled("probe", "* * * * *"))
            for _ in range(2)
        )
        tick = cast("Schedule", None)  # what the library knows of it does not matter
        await asyncio.gather(first(tick), second(tick))
        assert await waiting(fresh) == 1
        clock.advance(minutes=1)
        await first(tick)
    assert await waiting(fresh) == 2


class _Unlucky(Worker):
    """Loses its first run to a listener that PgQueuer gives up on."""

    runs = 0

    async def _run_once(self) -> None:
        self.runs += 1
        if self.runs == 1:
            raise FailingListenerError("unlucky")
        await super()._run_once()


async def test_a_worker_that_loses_its_listener_begins_again(
    fresh_work: UnitOfWork, fresh_url: URL
) -> None:
    done = asyncio.Event()

    async def probe(payload: Mapping[str, Any]) -> None:
        done.set()

    worker = _Unlucky(fresh_url, {"probe": probe}, (), SystemClock())
    running = asyncio.create_task(worker.run())
    try:
        async with fresh_work.begin_platform():
            fresh_work.enqueue("probe", {})
        await asyncio.wait_for(done.wait(), 30)
    finally:
        worker.stop()
        await asyncio.wait_for(running, 30)
    assert worker.runs == 2
