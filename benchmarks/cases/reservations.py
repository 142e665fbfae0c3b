"""Reserve and commit: two requests that belong together, on one hot organization."""

from __future__ import annotations

import json
from itertools import count as counter

from benchmarks import events
from benchmarks.bench import Bench, with_facts
from benchmarks.cases.steady import introduce
from benchmarks.client import request
from benchmarks.measured import Case, Failed, Sample

PATH = "/api/v1/usage/reservations"

_HELD = "select coalesce(sum(held), 0) from usage_counters where organization_id = $1"


async def pairs(bench: Bench, run: int) -> Sample:
    """Each caller holds one debate, then commits what it used; the last tenth finds none left."""
    here = bench.fast
    limit = bench.count(4_000)
    tenant = await here.tenants.take({"debates": limit})
    await introduce(here, [tenant])
    names = counter()
    committed: list[str] = []

    def follow(status: int, body: bytes) -> bytes | None:
        if status != 201:
            return None
        answer = json.loads(body)
        if answer.get("state") != "held":
            return None
        key = f"pair-{run}-{next(names)}"
        committed.append(key)
        event = json.dumps({**events.event(key, len(committed)), "type": "debate"}).encode()
        return request("POST", f"{PATH}/{answer['id']}/commit", event, tenant.headers)

    hold = json.dumps({"metric": "debates", "quantity": 1, "ttl_seconds": 300}).encode()
    requests = [request("POST", PATH, hold, tenant.headers)] * (limit + limit // 10)
    sample, load = await bench.http(
        here,
        here.service,
        requests,
        connections=64,
        expected=frozenset({200, 201, 402}),
        units=limit,
        follow=follow,
    )
    done = load.count - load.statuses[402]
    if done != limit:
        raise Failed(f"{done} pairs were answered where {limit} fit")
    found = await bench.check(here, {tenant.id: committed})
    connection = await here.database.connect()
    try:
        held = await connection.fetchval(_HELD, tenant.id)
    finally:
        await connection.close()
    if held:
        raise Failed(f"{held} still held after every reservation was committed")
    return with_facts(sample, overshoot=found.stored - limit)


CASES = (Case("reserve-commit", "reserve + commit pair, 64 connections", pairs),)
