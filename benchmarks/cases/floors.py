"""Floors and rivals: what the ratios are taken of."""

from __future__ import annotations

import json

from benchmarks import events
from benchmarks.bench import Bench
from benchmarks.client import request, send
from benchmarks.floors.work import Task
from benchmarks.measured import Case, Measure, Sample

_CONNECTIONS = 64


def hello(path: str, connections: int, count: int) -> Measure:
    """A constant, over HTTP."""

    async def measure(bench: Bench, run: int) -> Sample:
        requests = [request("GET", path)] * bench.count(count)
        here = bench.fast
        sample, _ = await bench.http(here, here.rivals, requests, connections=connections)
        return sample

    return measure


def raw(kind: str, size: int, count: int, *, stage: str = "fast", processes: int = 1) -> Measure:
    """The statement alone. Each process has an organization of its own, so none waits for a lock."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages[stage]
        each = bench.count(count // processes, least=size)
        tasks = [
            Task(
                kind,
                here.environment["DATABASE_URL"],
                f"{kind}-{size}-{processes}-{number}",
                run,
                str((await here.tenants.take()).id),
                each - each % size,
                size,
            )
            for number in range(processes)
        ]
        sample = await bench.floor(here, tasks)
        if kind == "insert":
            await bench.check(here, {task.owner: task.ids for task in tasks})
        return sample

    return measure


def commit(stage: str) -> Measure:
    """One durable row after the other."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages[stage]
        url = here.environment["DATABASE_URL"]
        task = Task("commit", url, "commit", run, str(here.open_tenant.id), bench.count(1_500))
        return await bench.floor(here, [task])

    return measure


def rival(path: str, name: str, count: int, stage: str = "fast") -> Measure:
    """An event a request, of one hot organization, without authentication."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages[stage]
        ids = events.keys(name, run, bench.count(count) + 4 * _CONNECTIONS)
        requests = [
            request(
                "POST",
                f"/{path}/{here.open_tenant.id}/events",
                json.dumps(events.event(key, number)).encode(),
                {"Content-Type": "application/json"},
            )
            for number, key in enumerate(ids)
        ]
        # Its pool is opened and its statements are compiled before it is measured.
        await send(here.rivals.port, requests[: 4 * _CONNECTIONS], connections=_CONNECTIONS)
        sample, _ = await bench.http(
            here,
            here.rivals,
            requests[4 * _CONNECTIONS :],
            connections=_CONNECTIONS,
            expected=frozenset({201}),
        )
        return sample

    return measure


CASES = (
    Case("hello-bare", "floor: bare ASGI answer", hello("/bare", 64, 20_000)),
    Case("hello", "floor: FastAPI hello", hello("/hello", 64, 8_000)),
    Case("hello-1", "floor: FastAPI hello, 1 connection", hello("/hello", 1, 3_000)),
    Case("commit", "floor: one durable row, 1 connection", commit("fast")),
    Case("raw-1", "floor: the statement, 1 event", raw("insert", 1, 2_000)),
    Case("raw-100", "floor: the statement, 100 events", raw("insert", 100, 40_000)),
    Case("raw-1000", "floor: the statement, 1,000 events", raw("insert", 1_000, 60_000)),
    Case("raw-1-two", "floor: 1 event, two processes", raw("insert", 1, 4_000, processes=2)),
    Case(
        "raw-100-two", "floor: 100 events, two processes", raw("insert", 100, 60_000, processes=2)
    ),
    Case(
        "raw-1000-two",
        "floor: 1,000 events, two processes",
        raw("insert", 1_000, 100_000, processes=2),
    ),
    Case("copy-1000", "floor: COPY of 1,000, no rollups", raw("copy", 1_000, 60_000)),
    Case("naive", "rival: ORM add, two rollups, commit", rival("naive", "naive", 1_500)),
    Case("upsert", "rival: one CTE statement a request", rival("upsert", "upsert", 3_000)),
)
