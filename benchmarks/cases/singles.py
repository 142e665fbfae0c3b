"""Single durable events over HTTP, each answered after its commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from uuid import UUID

from benchmarks import events
from benchmarks.bench import Bench, with_facts
from benchmarks.cases.steady import introduce
from benchmarks.floors.work import Task
from benchmarks.measured import Case, Measure, Sample, medians
from benchmarks.tenants import Tenant

_RECORDED = frozenset({201})


def single(
    connections: int,
    count: int,
    *,
    stage: str = "fast",
    organizations: int = 1,
    labels: bool = False,
    by_key: bool = False,
) -> Measure:
    """Events of one organization, or of many who take turns, by token or by API key."""
    name = f"s{connections}-{organizations}-{labels:d}{by_key:d}"

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.stages[stage]
        if organizations > 1:
            tenants = await here.tenants.many(bench.count(organizations, least=8))
        else:
            tenants = [await here.tenants.take()]
        if by_key:
            tenants = [Tenant(each.id, await here.tenants.api_key(each)) for each in tenants]
        await introduce(here, tenants)
        ids = events.keys(name, run, bench.count(count))
        requests = events.singles(ids, tenants, labels=labels)
        sample, _ = await bench.http(
            here, here.service, requests, connections=connections, expected=_RECORDED
        )
        await bench.check(here, _shared_out(ids, tenants), exactly=organizations == 1)
        return sample

    return measure


def _shared_out(ids: Sequence[str], tenants: Sequence[Tenant]) -> dict[UUID, list[str]]:
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    for number, key in enumerate(ids):
        found[tenants[number % len(tenants)].id].append(key)
    return found


_TURNS = 10


async def unauthenticated(bench: Bench, run: int) -> Sample | None:
    """The same by a service that lets everybody in, in turn with a token and with an API key.

    What knowing the caller costs is less than a machine's speed changes within a run, so it is the
    median over turns that follow one another at once.
    """
    here = bench.fast
    if here.unauthenticated is None:
        return None
    token = await here.tenants.take()
    key = Tenant(token.id, await here.tenants.api_key(token))
    await introduce(here, [token, key])
    each_turn = bench.count(2_500)
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    recorded: defaultdict[UUID, list[str]] = defaultdict(list)
    for turn in range(_TURNS):
        for name, server, tenant in (
            ("open", here.unauthenticated, here.open_tenant),
            ("token", here.service, token),
            ("key", here.service, key),
        ):
            ids = events.keys(f"open-{turn}-{name}", run, each_turn)
            sample, _ = await bench.http(
                *(here, server, events.singles(ids, [tenant])), connections=64, expected=_RECORDED
            )
            recorded[tenant.id] += ids
            found[name].append(sample)
    await bench.check(here, recorded)
    shares = {
        name: median(
            1 - without.cpu_ms / known.cpu_ms
            for without, known in zip(found["open"], found[name], strict=True)
        )
        for name in ("token", "key")
    }
    return with_facts(medians(found["open"]), token_share=shares["token"], key_share=shares["key"])


def without_http(size: int, callers: int, count: int) -> Measure:
    """`UsageIngest.record` in a process of its own, asked by that many at once."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await here.tenants.take()
        total = bench.count(count, least=size)
        url = here.environment["DATABASE_URL"]
        task = Task(
            *("record", url, f"direct-{size}", run, str(tenant.id)),
            total - total % size,
            size,
            callers,
        )
        sample = await bench.floor(here, [task])
        await bench.check(here, {tenant.id: task.ids})
        return sample

    return measure


CASES = (
    Case("single-64", "single event, 64 connections", single(64, 40_000)),
    Case("single-64-key", "single event, 64 connections, API key", single(64, 20_000, by_key=True)),
    Case("single-64-open", "single event, 64 connections, no authentication", unauthenticated),
    Case(
        "single-64-many",
        "single event, 64 connections, 1,000 organizations",
        single(64, 20_000, organizations=1_000),
    ),
    Case(
        "single-64-labels",
        "single event with agent, workspace, user, debate",
        single(64, 20_000, labels=True),
    ),
    Case("single-1", "single event, 1 connection", single(1, 1_500)),
    Case("single-8", "single event, 8 connections", single(8, 6_000)),
    Case("single-256", "single event, 256 connections", single(256, 20_000)),
    Case("direct-1", "single event without HTTP, 64 callers", without_http(1, 64, 12_000)),
    Case("direct-100", "batch of 100 without HTTP, 16 callers", without_http(100, 16, 50_000)),
    Case("direct-1000", "batch of 1,000 without HTTP, 8 callers", without_http(1_000, 8, 60_000)),
)
