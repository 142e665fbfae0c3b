"""What every case may ask for: stages, measured loads, floors, and the reconciliation."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import UUID

from benchmarks import client, cpu, lean_client
from benchmarks.client import Follow, Load, quantile
from benchmarks.floors import drive
from benchmarks.floors.work import Task
from benchmarks.measured import Failed, Sample
from benchmarks.reconcile import Reconciled, find_each, reconcile
from benchmarks.redis import Redis
from benchmarks.servers import Server
from benchmarks.stage import Stage

Timed = Callable[[], Awaitable[tuple[float, Sequence[float]]]]
"""Does the work; seconds it took, and those of each request."""


@dataclass
class Bench:
    """One invocation of the benchmark."""

    scale: float
    stages: dict[str, Stage]
    client: Path | None = None
    """The program that sends where nobody looks at bodies."""
    redis: Redis | None = None
    large_events: int = 0
    acknowledged: int = 0
    stored: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def fast(self) -> Stage:
        return self.stages["fast"]

    def count(self, usual: int, *, least: int = 64) -> int:
        """How many, at this scale."""
        return max(least, int(usual * self.scale))

    async def http(
        self,
        here: Stage,
        server: Server,
        requests: Sequence[bytes],
        *,
        connections: int,
        expected: frozenset[int] = frozenset({200}),
        events_per_request: int = 1,
        units: int | None = None,
        keep_bodies: bool = False,
        follow: Follow | None = None,
    ) -> tuple[Sample, Load]:
        """Send the requests and measure. Raises `Failed` at an unexpected answer.

        *units* is what a rate counts, where that is not the events sent.
        ."""
        load = Load()
        counted = units or len(requests) * events_per_request
        async with AsyncExitStack() as stack:
            send: Callable[[], Awaitable[Load]]
            if self.client is None or keep_bodies or follow:
                send = partial(
                    client.send,
                    server.port,
                    requests,
                    connections=connections,
                    keep_bodies=keep_bodies,
                    follow=follow,
                )
            else:
                send = await stack.enter_async_context(
                    lean_client.ready(self.client, server.port, requests, connections=connections)
                )

            async def work() -> tuple[float, Sequence[float]]:
                nonlocal load
                load = await send()
                return load.elapsed, load.latencies

            sample = await measured(here, [server.pid], work, units=counted)
        if not set(load.statuses) <= expected:
            raise Failed(f"answers {dict(load.statuses)} where {set(expected)} were expected")
        return sample, load

    async def floor(self, here: Stage, tasks: Sequence[Task]) -> Sample:
        """Let the processes of a floor do their tasks together."""
        async with floor(tasks, here.environment) as ready:
            return await measured(
                here, ready.pids, ready.work, units=sum(task.count for task in tasks)
            )

    async def check(
        self, here: Stage, acknowledged: Mapping[UUID, Sequence[str]], *, exactly: bool = True
    ) -> Reconciled:
        """Reconcile what was acknowledged with what is stored."""
        connection = await here.database.connect()
        try:
            found = await reconcile(connection, acknowledged, exactly=exactly)
        finally:
            await connection.close()
        self.acknowledged += found.acknowledged
        self.stored += found.stored if exactly else found.acknowledged
        return found

    async def check_ids(self, here: Stage, acknowledged: Mapping[UUID, Sequence[str]]) -> None:
        """As `check`, where the rows are too many to add up each time."""
        connection = await here.database.connect()
        try:
            count = await find_each(connection, acknowledged)
        finally:
            await connection.close()
        self.acknowledged += count
        self.stored += count


@asynccontextmanager
async def floor(
    tasks: Sequence[Task], environment: Mapping[str, str]
) -> AsyncIterator[drive.Floor]:
    ready = await drive.prepare(tasks, environment)
    try:
        yield ready
    finally:
        await ready.end()


async def measured(
    here: Stage, app: Sequence[int], work: Timed, *, units: int, database: int | None = None
) -> Sample:
    """Run *work* and weigh it: CPU of the app's and the database's process trees, statements."""
    database_pids = [database or here.database.postmaster]
    statements = await here.database.statements()
    gc.collect()
    gc.disable()
    try:
        before = _clocks(app, database_pids)
        elapsed, latencies = await work()
        after = _clocks(app, database_pids)
    finally:
        gc.enable()
    spent = {name: after[name] - before[name] for name in before}
    per_unit = {name: seconds / units * 1e6 for name, seconds in spent.items()}
    others = spent["machine"] - spent["app"] - spent["database"] - spent["client"]
    return Sample(
        rate=units / elapsed,
        p50_ms=quantile(latencies, 0.5) * 1000,
        p99_ms=quantile(latencies, 0.99) * 1000,
        app_us=per_unit["app"],
        database_us=per_unit["database"],
        client_us=per_unit["client"],
        statements=(await here.database.statements() - statements) / len(latencies),
        others_cores=max(0.0, others / spent["wall"]),
    )


def _clocks(app: Sequence[int], database: Sequence[int]) -> dict[str, float]:
    return {
        "app": cpu.seconds(app),
        "database": cpu.seconds(database),
        "client": cpu.of_this_process(),
        "machine": cpu.of_the_machine(),
        "wall": monotonic(),
    }


def with_facts(sample: Sample, **facts: float) -> Sample:
    """The sample, and what else was seen."""
    return replace(sample, facts={**sample.facts, **facts})
