"""`make bench`: runs every measurement some times, interleaved, and writes docs/performance.md."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg

from app.infra.db.engine import asyncpg_arguments
from benchmarks import cpu, load
from benchmarks.stage import WEBHOOK_SECRET, Stage, stage

REPORT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
MARK = "<!-- measured -->"


@dataclass
class Case:
    """One thing to measure. *units* is how many events one request carries."""

    name: str
    prepare: Callable[[Stage, int, int], bytes]
    count: int
    connections: int
    units: int = 1
    is_reference: bool = False
    expected: int = 200
    rates: list[float] = field(default_factory=list)
    p50s: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    app_cpu: list[float] = field(default_factory=list)
    database_cpu: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)


def _authorized(here: Stage) -> dict[str, str]:
    return {"Authorization": f"Bearer {here.token}", "Content-Type": "application/json"}


def _event(run: int, number: int) -> dict[str, object]:
    return {
        "id": f"bench-{run}-{number}",
        "type": "tokens",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_in": 1000 + number % 500,
        "tokens_out": 100 + number % 50,
        "occurred_at": _at,
    }


_at = datetime.now(UTC).isoformat()


def _hello(here: Stage, run: int, number: int) -> bytes:
    return load.request("GET", "/hello")


def _naive(here: Stage, run: int, number: int) -> bytes:
    body = json.dumps(_event(run, number)).encode()
    return load.request("POST", "/naive/events", body, {"Content-Type": "application/json"})


def _read(path: str) -> Callable[[Stage, int, int], bytes]:
    def prepare(here: Stage, run: int, number: int) -> bytes:
        return load.request("GET", path, headers=_authorized(here))

    return prepare


def _single(here: Stage, run: int, number: int) -> bytes:
    body = json.dumps(_event(run, number)).encode()
    return load.request("POST", "/api/v1/usage/events", body, _authorized(here))


def _batch(size: int) -> Callable[[Stage, int, int], bytes]:
    def prepare(here: Stage, run: int, number: int) -> bytes:
        events = [_event(run * 1000 + size, number * size + row) for row in range(size)]
        body = json.dumps({"events": events}).encode()
        return load.request("POST", "/api/v1/usage/events/batch", body, _authorized(here))

    return prepare


def _webhook(here: Stage, run: int, number: int) -> bytes:
    sent = int(datetime.now(UTC).timestamp())
    body = json.dumps(
        {
            "id": f"evt_bench_{run}_{number}",
            "object": "event",
            "type": "customer.subscription.updated",
            "api_version": "2026-10-28.endive",
            "created": sent,
            "livemode": False,
            "data": {
                "object": {"id": "sub_1", "object": "subscription", "metadata": {"a": "b" * 1500}}
            },
        }
    ).encode()
    signature = hmac.new(
        WEBHOOK_SECRET.encode(), f"{sent}.".encode() + body, hashlib.sha256
    ).hexdigest()
    return load.request(
        "POST",
        "/api/v1/webhooks/stripe",
        body,
        {"Stripe-Signature": f"t={sent},v1={signature}", "Content-Type": "application/json"},
    )


def cases(scale: float) -> list[Case]:
    """Everything measured, with enough requests at scale 1 for about two seconds each."""

    def n(count: int) -> int:
        return max(64, int(count * scale))

    return [
        Case("reference: bare FastAPI hello", _hello, n(12_000), 64, is_reference=True),
        Case(
            "rival: ORM add, two rollups, commit",
            _naive,
            n(600),
            64,
            is_reference=True,
            expected=201,
        ),
        Case(
            "authenticated read: subscription", _read("/api/v1/billing/subscription"), n(4_000), 64
        ),
        Case("authenticated read: quota", _read("/api/v1/billing/quota"), n(4_000), 64),
        Case("single event, 64 connections", _single, n(12_000), 64, expected=201),
        Case("single event, 1 connection", _single, n(1_500), 1, expected=201),
        Case("batch of 100, 16 connections", _batch(100), n(500), 16, units=100),
        Case("batch of 1,000, 8 connections", _batch(1_000), n(64), 8, units=1_000),
        Case("webhook intake, 32 connections", _webhook, n(4_000), 32),
    ]


async def measure(here: Stage, case: Case, run: int) -> None:
    port = here.reference_port if case.is_reference else here.service_port
    pid = here.reference_pid if case.is_reference else here.service_pid
    requests = [case.prepare(here, run, number) for number in range(case.count)]
    statements = await here.statements()
    app_before, database_before = cpu.seconds(pid), cpu.seconds(here.postgres_pid)
    result = await load.run(
        port, requests.__getitem__, count=case.count, connections=case.connections
    )
    app_after, database_after = cpu.seconds(pid), cpu.seconds(here.postgres_pid)
    if set(result.statuses) != {case.expected}:
        raise SystemExit(f"{case.name}: answers {dict(result.statuses)}")
    events = case.count * case.units
    case.rates.append(events / result.elapsed)
    case.p50s.append(result.quantile(0.5) * 1000)
    case.p99s.append(result.quantile(0.99) * 1000)
    case.app_cpu.append((app_after - app_before) / events * 1e6)
    case.database_cpu.append((database_after - database_before) / events * 1e6)
    case.statements.append((await here.statements() - statements) / case.count)


async def reconcile(here: Stage, expected: int) -> str:
    """Acknowledged events against rows and rollups."""
    connection = await asyncpg.connect(**asyncpg_arguments(here.database))
    try:
        rows = await connection.fetchval("select count(*) from usage_events")
    finally:
        await connection.close()
    if rows != expected:
        raise SystemExit(f"{expected} events were acknowledged, {rows} are stored")
    return f"{expected:,} events acknowledged, {rows:,} rows stored."


def table(measured: list[Case]) -> str:
    head = [
        "| What | per second | p50 ms | p99 ms | app CPU µs | Postgres CPU µs | statements a request |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join(
        head
        + [
            f"| {case.name} | {median(case.rates):,.0f} | {median(case.p50s):.1f} "
            f"| {median(case.p99s):.1f} | {median(case.app_cpu):.1f} "
            f"| {median(case.database_cpu):.1f} | {median(case.statements):.3f} |"
            for case in measured
        ]
    )


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual requests")
    parser.add_argument("--no-write", action="store_true", help="print only")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="billing-bench-"))
    directory.chmod(0o755)
    measured = cases(arguments.scale)
    try:
        async with stage(directory) as here:
            for run in range(arguments.runs):
                for case in measured:
                    await measure(here, case, run * 100 + measured.index(case))
                    print(f"run {run + 1}: {case.name}: {case.rates[-1]:,.0f}/s", flush=True)
            events = sum(
                case.count * case.units * arguments.runs
                for case in measured
                if "event" in case.name or case.name.startswith("batch")
            )
            reconciled = await reconcile(here, events)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    text = "\n\n".join(
        [
            table(measured),
            (
                f"Medians of {arguments.runs} interleaved runs; CPU and rate are per event, latency per "
                f"request. {reconciled} Python {platform.python_version()}, "
                f"{len(os.sched_getaffinity(0))} cores shared by client, service and "
                "database, fsync and synchronous_commit on."
            ),
        ]
    )
    print(text)
    if not arguments.no_write:
        before, _, rest = REPORT.read_text().partition(MARK)
        _, _, after = rest.partition(MARK)
        REPORT.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}")


if __name__ == "__main__":
    asyncio.run(main())
