"""Batches over HTTP, answered event by event."""

from __future__ import annotations

from benchmarks import events
from benchmarks.bench import Bench
from benchmarks.cases.steady import introduce
from benchmarks.measured import Case, Failed, Measure, Sample


def batch(size: int, connections: int, count: int, name: str = "batch") -> Measure:
    """Batches of one organization."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await here.tenants.take()
        await introduce(here, [tenant])
        total = bench.count(count, least=size * connections)
        ids = events.keys(f"{name}{size}", run, total - total % size)
        sample, load = await bench.http(
            here,
            here.service,
            events.batches(ids, size, tenant),
            connections=connections,
            events_per_request=size,
            keep_bodies=True,
        )
        whole = f'"recorded":{size},"duplicates":0,"errors":0'.encode()
        if not all(whole in body for _, _, body in load.answers):
            raise Failed("a batch was not recorded whole")
        await bench.check(here, {tenant.id: ids})
        return sample

    return measure


CASES = (
    Case("batch-100", "batch of 100, 16 connections", batch(100, 16, 100_000)),
    Case("batch-1000", "batch of 1,000, 8 connections", batch(1_000, 8, 160_000)),
)
