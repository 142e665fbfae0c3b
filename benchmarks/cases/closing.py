"""The run that closes a month: organizations with usage, each billed and issued once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from sqlalchemy.ext.asyncio import AsyncEngine

from app.catalog.service import CatalogService
from app.doctor.domain import CheckState, Report
from app.doctor.queries import DoctorQueries
from app.doctor.service import Doctor
from app.infra.db.migrate import upgrade
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.settings import Settings
from app.kernel.clock import ManualClock
from app.wiring import build_services
from benchmarks.bench import Bench, measured, with_facts
from benchmarks.measured import Case, Failed, Measure, Sample
from benchmarks.months import EVENTS, plant
from benchmarks.postgres import Database
from benchmarks.stage import Stage

USUAL, MANY = 2_000, 100_000
AFTER = datetime(2026, 2, 1, 1, tzinfo=UTC)
_SECONDS_A_CHECK = 600
_AT_AN_END = 200
"""Organizations at the beginning, in the middle and at the end whose statements are compared."""

_FOUND = """
select count(*) as invoices, count(distinct organization_id) as organizations,
    count(distinct number) as numbers, max(number) as last_number,
    count(*) filter (where status <> 'open') as others, sum(subtotal) as subtotal,
    (select count(*) from invoice_proofs) as proofs
from invoices
"""


@dataclass(frozen=True)
class _Month:
    """A database with nothing but organizations that wait to be billed."""

    database: Database
    environment: dict[str, str]


@asynccontextmanager
async def _month(here: Stage, count: int) -> AsyncIterator[_Month]:
    name = f"closing_{count}"
    await here.database.execute(
        f"drop database if exists {name} with (force)", f"create database {name}"
    )
    url = here.database.url.set(database=name)
    database = Database(url, here.database.postmaster, here.database.version)
    environment = {
        **here.environment,
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "ARAGORA_INVOICE_GRACE_HOURS": "0",
    }
    try:
        await upgrade(url)
        await database.execute("create extension pg_stat_statements")
        services = build_services(Settings.model_validate(environment))
        await services[CatalogService].store_active()
        await services[AsyncEngine].dispose()
        started = time.monotonic()
        await plant(database, count)
        print(f"planted {count:,} months in {time.monotonic() - started:.0f} s", flush=True)
        yield _Month(database, environment)
    finally:
        await here.database.execute(f"drop database if exists {name} with (force)")


class _Runner:
    """A process that closes windows when it is told to."""

    def __init__(self, month: _Month) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.closing_runner", AFTER.isoformat()],
            env={**os.environ, **month.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.issued = 0
        self.seconds: list[float] = []
        self.statements: list[int] = []
        if self._hear() != "ready":
            self.stop()
            raise Failed("the runner did not start")

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self) -> None:
        self._go_on()
        answer = json.loads(await asyncio.to_thread(self._hear))
        if answer["failed"]:
            raise Failed(f"{answer['failed']} organizations could not be billed")
        self.issued = answer["issued"]
        self.seconds, self.statements = answer["seconds"], answer["statements"]

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


_WAITS_FOR_A_WORKER = {"jobs.none_is_overdue"}
"""Nobody runs jobs here, and a month that takes long leaves them overdue."""


async def _examined(month: _Month) -> Report:
    """What the doctor says of all of it, with as much time as it takes."""
    services = build_services(Settings.model_validate(month.environment), clock=ManualClock(AFTER))
    work = services[UnitOfWork]
    doctor = Doctor(work, DoctorQueries(work), ManualClock(AFTER), seconds_a_check=_SECONDS_A_CHECK)
    try:
        return await doctor.examine()
    finally:
        await services[AsyncEngine].dispose()


async def _check(month: _Month, count: int) -> dict[str, float]:
    connection = await month.database.connect()
    try:
        row = await connection.fetchrow(_FOUND, timeout=600)
        metered = await connection.fetchval(
            "select count(*) from invoice_lines where kind = 'usage'", timeout=600
        )
    finally:
        await connection.close()
    found = dict(row or {})
    last = f"INV-2026-{count:06}"
    wanted = dict.fromkeys(("invoices", "organizations", "numbers", "proofs"), count)
    if {name: found[name] for name in wanted} != wanted or found["last_number"] != last:
        raise Failed(f"{found} where {count} invoices up to {last} were expected")
    if found["others"] or metered != count:
        raise Failed(f"{found['others']} are not open, {metered} of {count} have a line for usage")
    report = await _examined(month)
    ill = [
        one
        for one in report.findings
        if one.state is not CheckState.OK and one.check.name not in _WAITS_FOR_A_WORKER
    ]
    if ill:
        raise Failed("; ".join(f"{one.check.name}: {one.violations}" for one in ill))
    slowest = max(report.findings, key=lambda one: one.seconds)
    seconds = sum(one.seconds for one in report.findings)
    print(
        f"the doctor is content after {seconds:.1f} s, of which {slowest.seconds:.1f} s for"
        f" {slowest.check.name}",
        flush=True,
    )
    return {"doctor_seconds": seconds, "slowest_check_seconds": slowest.seconds}


def _compared(statements: Sequence[int]) -> dict[str, float]:
    """Statements an organization at the beginning, in the middle and at the end of a run; what
    another runner has billed costs none."""
    statements = [count for count in statements if count]
    size = min(_AT_AN_END, len(statements))
    middle = (len(statements) - size) // 2
    parts = {
        "first": statements[:size],
        "middle": statements[middle : middle + size],
        "last": statements[-size:],
    }
    found = {f"statements_{name}": float(median(part)) for name, part in parts.items()}
    if len(set(found.values())) != 1:
        raise Failed(f"statements are not constant: {found}")
    return found


def closing(usual: int, runners: int) -> Measure:
    """Latencies and statements are per organization."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        count = bench.count(usual, least=50)
        async with _month(here, count) as month:
            started = [_Runner(month) for _ in range(runners)]

            async def work() -> tuple[float, Sequence[float]]:
                begun = time.perf_counter()
                await asyncio.gather(*(each.run() for each in started))
                return time.perf_counter() - begun, [
                    seconds for each in started for seconds in each.seconds
                ]

            try:
                sample = await measured(here, [each.pid for each in started], work, units=count)
            finally:
                for each in started:
                    each.stop()
            issued = sum(each.issued for each in started)
            if issued != count:
                raise Failed(f"{issued} invoices issued of {count}")
            facts = {**_compared(started[0].statements), **await _check(month, count)}
        print("  ".join(f"{name} {value:g}" for name, value in facts.items()), flush=True)
        return with_facts(sample, organizations=float(count), runners=float(runners), **facts)

    return measure


CASES = (
    Case(
        "close-month",
        f"closing a month: organizations with {EVENTS} events each, issued (per organization)",
        closing(USUAL, 1),
        times=1,
    ),
    Case(
        "close-many",
        f"the same for {MANY:,} organizations, by two runners",
        closing(MANY, 2),
        times=1,
        is_alone=True,
    ),
)
