"""A run that is killed, and runs that meet: always one invoice for each window."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.conftest import START
from tests.factories.billing import spend
from tests.factories.people import an_owner
from tests.support import database
from tests.support.long import LONG
from tests.support.process import ROOT
from tests.support.service import running

# Each starts interpreters, and all use copies of one month.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.xdist_group("run kill"),
]

ORGANIZATIONS = 40
AT = "2026-12-02T10:00:00+00:00"


@dataclass(frozen=True)
class Issued:
    """What the database holds in the end."""

    invoices: int
    total: int
    numbers: list[str]


class Runner:
    """A process that runs; it waits until it is told to go."""

    def __init__(self, url: URL, runs: int = 1) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.closing_run", AT, str(runs)],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url.render_as_string(hide_password=False)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._hear() == "ready"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill_after(self, organizations: int) -> None:
        for _ in range(organizations):
            assert self._hear() != "done"
        self._process.kill()
        self._process.communicate()

    def finish(self) -> None:
        while self._hear() != "done":
            continue
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0

    def _hear(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the runner ended early"
        return line.strip()


async def run_through(url: URL) -> None:
    runner = Runner(url)
    runner.go()
    runner.finish()


async def ask(url: URL, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(**asyncpg_arguments(url))
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def issued(url: URL) -> Issued:
    rows = await ask(url, "select number, total from invoices where status = 'open'")
    return Issued(
        len(rows), sum(row["total"] for row in rows), sorted(row["number"] for row in rows)
    )


@pytest.fixture(scope="module")
async def month(postgres: URL, database_url: URL) -> AsyncIterator[URL]:
    """Forty organizations with a month of usage, each with its own; nobody is connected."""
    name = f"{database.TEMPLATE}_{new_id().hex}"
    url = await database.clone(postgres, name)
    async with running(url, ManualClock(START)) as service:
        for number in range(1, ORGANIZATIONS + 1):
            owner = await an_owner(service, plan="enterprise_plus")
            await spend(owner, "one", START, 3 * number)
    yield url
    await database.drop(postgres, name)


@asynccontextmanager
async def a_copy(of: URL) -> AsyncIterator[URL]:
    name = f"{database.TEMPLATE}_{new_id().hex}"
    await ask(of.set(database="postgres"), f'create database "{name}" template "{of.database}"')
    url = of.set(database=name)
    yield url
    await database.drop(of.set(database="postgres"), name)


EXPECTED_TOTAL = sum(500_000 + 3 * number for number in range(1, ORGANIZATIONS + 1))
NUMBERS = [f"INV-2026-{number:06}" for number in range(1, ORGANIZATIONS + 1)]


@pytest.mark.parametrize(
    "killed_after", [12, *(pytest.param(number, marks=LONG) for number in (1, 5, 25, 39))]
)
async def test_a_run_that_is_killed_is_taken_up_by_the_next(month: URL, killed_after: int) -> None:
    async with a_copy(month) as url:
        runner = Runner(url)
        runner.go()
        runner.kill_after(killed_after)
        assert killed_after <= (await issued(url)).invoices <= ORGANIZATIONS
        await run_through(url)
        assert await issued(url) == Issued(ORGANIZATIONS, EXPECTED_TOTAL, NUMBERS)


async def at_once(url: URL, processes: int, runs: int) -> None:
    runners = [Runner(url, runs) for _ in range(processes)]
    for runner in runners:
        runner.go()
    for runner in runners:
        runner.finish()


@pytest.mark.parametrize(("processes", "runs"), [(2, 2), pytest.param(4, 1, marks=LONG)])
async def test_four_runners_at_once_make_one_invoice_each(
    month: URL, processes: int, runs: int
) -> None:
    async with a_copy(month) as url:
        await at_once(url, processes, runs)
        assert await issued(url) == Issued(ORGANIZATIONS, EXPECTED_TOTAL, NUMBERS)


@LONG
async def test_without_the_index_they_make_more(month: URL) -> None:
    """The control: it is the constraint that the one above rests on. Two are enough to show it."""
    async with a_copy(month) as url:
        await ask(url, "drop index uq_invoices_window")
        await at_once(url, 2, runs=1)
        assert (await issued(url)).invoices > ORGANIZATIONS
