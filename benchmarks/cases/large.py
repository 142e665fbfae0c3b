"""What grows slower as tables grow: recording among millions of keys, summaries of millions."""

from __future__ import annotations

from urllib.parse import urlencode

from benchmarks import events, large
from benchmarks.bench import Bench
from benchmarks.cases.steady import introduce
from benchmarks.client import request
from benchmarks.measured import Case, Measure, Sample

SUMMARY = "/api/v1/usage/summary"


def ingest(stage: str, size: int, connections: int, count: int) -> Measure:
    """Batches of the organization that has half of all stored events."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages[stage]
        tenant = here.open_tenant
        await introduce(here, [tenant])
        total = bench.count(count, least=size * connections)
        ids = events.keys(f"{stage}{size}", run, total - total % size)
        sample, _ = await bench.http(
            here,
            here.service,
            events.batches(ids, size, tenant),
            connections=connections,
            events_per_request=size,
        )
        await bench.check_ids(here, {tenant.id: ids})
        return sample

    return measure


def summary(large_one: bool, *, minutes: int = 0) -> Measure:
    """One caller asks again and again; *minutes* past the hour the ends are added up from events."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages["many"]
        tenant = here.open_tenant if large_one else here.small_tenant
        assert tenant is not None
        await introduce(here, [tenant])
        since, until = (
            each.replace(minute=minutes).isoformat().replace("+00:00", "Z") for each in large.span()
        )
        path = f"{SUMMARY}?{urlencode({'since': since, 'until': until})}"
        requests = [request("GET", path, headers=tenant.headers)] * bench.count(200, least=20)
        sample, _ = await bench.http(here, here.service, requests, connections=1)
        return sample

    return measure


CASES = (
    Case(
        "ingest-few-100", "batch of 100 at 1 million stored", ingest("few", 100, 16, 50_000), "few"
    ),
    Case(
        "ingest-many-100",
        "batch of 100 at 20 million stored",
        ingest("many", 100, 16, 50_000),
        "many",
    ),
    Case(
        "ingest-few-1000",
        "batch of 1,000 at 1 million stored",
        ingest("few", 1_000, 8, 64_000),
        "few",
    ),
    Case(
        "ingest-many-1000",
        "batch of 1,000 at 20 million stored",
        ingest("many", 1_000, 8, 64_000),
        "many",
    ),
    Case("summary-small", "summary of 60 days, 100 thousand events", summary(False), "many"),
    Case("summary-large", "summary of 60 days, 10 million events", summary(True), "many"),
    Case(
        "summary-cut",
        "the same, from and to the middle of an hour",
        summary(True, minutes=30),
        "many",
    ),
)
