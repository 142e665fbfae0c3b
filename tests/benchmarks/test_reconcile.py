"""The reconciliation finds whatever is missing, and the floor does the same work as the service."""

from uuid import UUID

import pytest
from sqlalchemy import text

from app.infra.db.engine import asyncpg_arguments
from benchmarks import events
from benchmarks.floors import unnest
from benchmarks.reconcile import NotReconciled, reconcile
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

IDS = [f"event-{number}" for number in range(20)]


@pytest.fixture
async def owner(service: Service) -> Owner:
    service.clock.set(events.HAPPENED)
    return await an_owner(service, "enterprise")


@pytest.fixture
async def connection(database_url):
    import asyncpg

    connection = await asyncpg.connect(**asyncpg_arguments(database_url))
    yield connection
    await connection.close()


async def record(owner: Owner, *, labels: bool = False) -> None:
    rows = [events.event(key, number, labels=labels) for number, key in enumerate(IDS)]
    answer = await owner.client.post(events.BATCH, json={"events": rows})
    assert answer.json()["recorded"] == len(IDS), answer.text


async def test_what_is_acknowledged_and_stored_agrees(owner: Owner, connection) -> None:
    await record(owner, labels=True)
    found = await reconcile(connection, {owner.organization_id: IDS})
    assert (found.acknowledged, found.stored) == (20, 20)


async def test_an_acknowledged_id_that_is_not_stored_is_found(owner: Owner, connection) -> None:
    await record(owner)
    with pytest.raises(NotReconciled, match="another"):
        await reconcile(connection, {owner.organization_id: [*IDS, "another"]})


async def test_a_row_that_nobody_acknowledged_is_found(owner: Owner, connection) -> None:
    await record(owner)
    with pytest.raises(NotReconciled, match="20 are stored"):
        await reconcile(connection, {owner.organization_id: IDS[:19]})
    found = await reconcile(connection, {owner.organization_id: IDS[:19]}, exactly=False)
    assert (found.acknowledged, found.stored) == (19, 20)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (
            "not stored",
            "delete from usage_events where organization_id = :id and event_key = 'event-3'",
        ),
        ("not stored", "delete from usage_keys where organization_id = :id"),
        (
            "hours",
            "update usage_hourly set cost_usd = cost_usd + 0.000000001 where organization_id = :id",
        ),
        ("months", "update usage_monthly set events = events - 1 where organization_id = :id"),
        ("counters", "update usage_counters set used = used + 1 where organization_id = :id"),
        ("days", "delete from usage_daily where organization_id = :id and dimension = 'agent'"),
    ],
)
async def test_every_rollup_is_compared(
    service: Service, owner: Owner, connection, name: str, damage: str
) -> None:
    await record(owner, labels=True)
    async with service.work.begin_platform() as session:
        await session.execute(text(damage), {"id": owner.organization_id})
    with pytest.raises(NotReconciled, match=name):
        await reconcile(connection, {owner.organization_id: IDS})


EVENTS = """
select event_key, event_type, quantity, provider, model, tokens_in, tokens_out, cached_tokens,
    cache_write_tokens, reasoning_tokens, cost_usd, occurred_at, window_start, counted
from usage_events where organization_id = $1 order by event_key
"""
HOURS = """
select hour, event_type, provider, model, events, quantity, tokens_in, tokens_out, cost_usd, unpriced
from usage_hourly where organization_id = $1
"""
MONTHS = """
select month, debates, api_calls, total_tokens, total_cost, events, tokens_in, tokens_out, unpriced
from usage_monthly where organization_id = $1
"""
COUNTERS = "select metric, window_start, used, held from usage_counters where organization_id = $1"


async def test_the_floor_writes_what_the_service_writes(
    service: Service, owner: Owner, connection
) -> None:
    other = await an_owner(service, "enterprise")
    await record(owner)
    first = unnest.arguments(other.organization_id, IDS[:12], 0, events.HAPPENED)
    second = unnest.arguments(other.organization_id, IDS[10:], 10, events.HAPPENED)
    for given in (first, second):
        await connection.execute(unnest.RECORD, *given)
    await reconcile(connection, {other.organization_id: IDS})
    for query in (EVENTS, HOURS, MONTHS, COUNTERS):
        ours, floor = [
            [
                tuple(row)
                for row in await connection.fetch(query, UUID(int=each.organization_id.int))
            ]
            for each in (owner, other)
        ]
        assert ours == floor
