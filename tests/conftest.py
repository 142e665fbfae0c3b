"""What every test may ask for.

Tests commit for real, in a database of their xdist worker, and keep apart by working in
organizations of their own; that is how the service keeps its customers apart. A test about the
whole platform (operators' totals, the job table, two processes) asks for `fresh_url`, a clone of
its own.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL, text

from app.infra.db.engine import Sessions, create_engine, create_sessions
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.jobs.queue import JobQueue
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.support import database, summary
from tests.support.service import Service, running

SHARED = Path(os.environ.get("SHARED_DIR", Path(__file__).resolve().parents[2] / "shared"))
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The server of this run, as the URL of its maintenance database."""
    with database.server() as url:
        yield url


@pytest.fixture(scope="session")
async def database_url(postgres: URL, worker_id: str) -> AsyncIterator[URL]:
    """The migrated database of this xdist worker."""
    await database.ensure_template(postgres)
    name = f"{database.TEMPLATE}_{worker_id}_{os.getpid()}"
    yield await database.clone(postgres, name)
    await database.drop(postgres, name)


@pytest.fixture
async def fresh_url(postgres: URL, database_url: URL) -> AsyncIterator[URL]:
    """A migrated database for this test alone."""
    name = f"{database.TEMPLATE}_{new_id().hex}"
    yield await database.clone(postgres, name)
    await database.drop(postgres, name)


@pytest.fixture
def clock() -> ManualClock:
    """Stands at 2026-11-21 09:00 UTC until moved."""
    return ManualClock(START)


@pytest.fixture(scope="session")
async def sessions(database_url: URL) -> AsyncIterator[Sessions]:
    engine = create_engine(database_url)
    yield create_sessions(engine)
    await engine.dispose()


@pytest.fixture
def work(sessions: Sessions, clock: ManualClock) -> UnitOfWork:
    return UnitOfWork(sessions, JobQueue(clock))


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """xdist's name of this worker; `single` without xdist."""
    workerinput = getattr(request.config, "workerinput", None)
    return workerinput["workerid"] if workerinput else "single"


@pytest.fixture
def shared_dir() -> Path:
    """Data that is not part of the project; a test that needs it skips without it."""
    if not SHARED.is_dir():
        pytest.skip("no shared data beside the repository")
    return SHARED


@pytest.fixture(scope="session")
async def shared_service(database_url: URL) -> AsyncIterator[Service]:
    async with running(database_url, ManualClock(START)) as service:
        yield service


@pytest.fixture
async def service(shared_service: Service) -> AsyncIterator[Service]:
    """The service on the worker's database, its clock back at the start, its job table empty."""
    shared_service.clock.set(START)
    yield shared_service
    async with shared_service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """An anonymous HTTP client."""
    async with service.client() as anonymous:
        yield anonymous


def pytest_collection_finish() -> None:
    """What was imported stays; a collector that walks it again and again takes a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Workers' output is not shown; what tests have to say travels with their reports."""
    stats = terminalreporter.stats
    for line in summary.lines([*stats.get("passed", []), *stats.get("failed", [])]):
        terminalreporter.write_line(line)
