"""Check and consume on one hot organization: nothing may be granted beyond the limit."""

from __future__ import annotations

import json

from benchmarks import events
from benchmarks.bench import Bench, floor, measured, with_facts
from benchmarks.cases.steady import introduce
from benchmarks.client import request
from benchmarks.floors.work import Task
from benchmarks.measured import Case, Measure, Sample
from benchmarks.tenants import Tenant

_GRANTED_OR_NOT = frozenset({201, 402})
_GRANTED = 201


def _limit(attempts: int) -> int:
    """Nine of ten fit; the last tenth is refused."""
    return attempts * 9 // 10


async def over_http(bench: Bench, run: int) -> Sample:
    """Single events with `?enforce=true`, each kept and counted, or refused."""
    here = bench.fast
    count = bench.count(12_000)
    limit = _limit(count)
    tenant = await here.tenants.take({"debates": limit})
    await introduce(here, [tenant])
    ids = events.keys("enforced", run, count)
    requests = [
        request(
            "POST",
            f"{events.SINGLE}?enforce=true",
            json.dumps({**events.event(key, number), "type": "debate"}).encode(),
            tenant.headers,
        )
        for number, key in enumerate(ids)
    ]
    sample, load = await bench.http(
        here, here.service, requests, connections=64, expected=_GRANTED_OR_NOT
    )
    granted = [ids[number] for number, status, _ in load.answers if status == _GRANTED]
    found = await bench.check(here, {tenant.id: granted})
    return with_facts(sample, overshoot=found.stored - limit)


async def locked_row(bench: Bench, run: int) -> Sample:
    """The rival: SELECT … FOR UPDATE, compare, UPDATE, commit, per request."""
    here = bench.fast
    count = bench.count(2_000)
    limit = _limit(count)
    owner = here.open_tenant.id
    await here.database.execute(
        f"delete from naive_quotas where organization = '{owner}'",
        f"insert into naive_quotas values ('{owner}', 0, {limit})",
    )
    requests = [
        request(
            "POST",
            f"/consume/{owner}",
            json.dumps({"id": key}).encode(),
            {"Content-Type": "application/json"},
        )
        for key in events.keys("locked", run, count)
    ]
    sample, load = await bench.http(
        here, here.rivals, requests, connections=64, expected=_GRANTED_OR_NOT
    )
    return with_facts(sample, overshoot=load.statuses[_GRANTED] - limit)


def coalesced(kind: str, count: int) -> Measure:
    """Without HTTP: 1,000 callers wait, each for one debate of the same organization."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        attempts = bench.count(count, least=1_000)
        limit = _limit(attempts)
        tenant = await here.tenants.take({"debates": limit})
        url = here.environment["DATABASE_URL"]
        task = Task(kind, url, kind, run, str(tenant.id), attempts, connections=1_000)
        sample = await bench.floor(here, [task])
        if kind.startswith("consume"):
            await bench.check(here, {tenant.id: []}, exactly=False)
        return with_facts(sample, overshoot=await _taken(bench, tenant) - limit)

    return measure


async def _taken(bench: Bench, tenant: Tenant) -> int:
    """How much of the limit is used or held."""
    connection = await bench.fast.database.connect()
    try:
        query = "select sum(used + held) from usage_counters where organization_id = $1"
        return int(await connection.fetchval(query, tenant.id))
    finally:
        await connection.close()


def redis(
    callers: int, *, kind: str = "redis", pipelined: bool = False, count: int = 40_000
) -> Measure:
    """A Lua script that checks and consumes, an answer awaited by each caller."""

    async def measure(bench: Bench, run: int) -> Sample | None:
        if bench.redis is None:
            return None
        here = bench.fast
        attempts = bench.count(count)
        task = Task(
            *(kind, str(bench.redis.socket), f"{kind}-{run}-{pipelined:d}", run),
            *(str(here.open_tenant.id), attempts, 1, callers),
            f"{_limit(attempts)}{' pipelined' if pipelined else ''}",
        )
        async with floor([task], here.environment) as ready:
            return await measured(
                here, ready.pids, ready.work, units=attempts, database=bench.redis.pid
            )

    return measure


CASES = (
    Case("consume-http", "enforced single event, 64 connections", over_http),
    Case("consume-locked", "rival: SELECT … FOR UPDATE a request", locked_row),
    Case(
        "consume-direct",
        "enforced events without HTTP, 1,000 callers",
        coalesced("consume", 30_000),
    ),
    Case(
        "consume-alone",
        "the enforcing statement alone, 1 connection",
        coalesced("consume-alone", 30_000),
    ),
    Case(
        "reserve-direct", "reservations without HTTP, 1,000 callers", coalesced("reserve", 30_000)
    ),
    Case(
        "reserve-alone",
        "the reserving statement alone, 1 connection",
        coalesced("reserve-alone", 30_000),
    ),
    Case(
        "consume-redis",
        "rival: Redis with Lua by redis-py, 64 connections, in memory",
        redis(64, kind="redis-client", count=10_000),
    ),
    Case("consume-redis-bare", "the same, asked by bare sockets", redis(64)),
    Case(
        "consume-redis-pipe",
        "the same, 1,000 callers on one pipeline of a bare socket",
        redis(1_000, pipelined=True),
    ),
)
