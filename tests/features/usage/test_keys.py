"""A key is added once, wherever in a flush its repeat comes and whoever adds it meanwhile.

A flush adds its keys as if all were new, and looks only when one is not: what it had done by then
is undone and done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL, text

from app.pricing.service import PriceService
from app.usage.ddl.record import RECORD
from app.usage.service.connection import connect_to_record
from app.usage.service.flush import Flush
from app.usage.service.ingest import UsageIngest
from app.usage.service.tenants import Tenants
from app.usage.statement import RECORD_CALL
from app.usage.wire.events import read_event
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.support.locks import waiting
from tests.support.recount import broken
from tests.support.service import Service

BATCH = "/api/v1/usage/events/batch"
EVENT = {"type": "tokens", "provider": "openai", "model": "gpt-4o", "tokens_in": 10}
SIZE = 30


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, "enterprise_plus")


@pytest.fixture
async def writer(database_url: URL) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_to_record(database_url)
    yield connection
    await connection.close()


async def send(owner: Owner, keys: Sequence[str]) -> dict[str, Any]:
    answer = await owner.client.post(BATCH, json={"events": [{"id": key, **EVENT} for key in keys]})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def write(
    service: Service, owner: Owner, writer: asyncpg.Connection, keys: Sequence[str]
) -> asyncpg.Record:
    """One flush of these keys, on a connection of the caller's."""
    ingest, tenants = service.services[UsageIngest], service.services[Tenants]
    await tenants.current(owner.organization_id)
    body = b'{"type":"tokens","provider":"openai","model":"gpt-4o","tokens_in":10}'
    items = [
        ingest.prepare(
            owner.organization_id, read_event(body, key), backfill=False, api_key_id=None
        )
        for key in keys
    ]
    call = Flush(items, [owner.organization_id], tenants, service.services[PriceService].book)
    row = await writer.fetchrow(RECORD_CALL, *call.arguments(START))
    assert row is not None
    return row


async def stored(service: Service, owner: Owner) -> tuple[int, int, int]:
    """Keys, events, and tokens by the month's rollup; everything else must agree with them."""
    assert not await broken(service, owner.organization_id)
    async with service.work.begin(owner.organization_id) as session:
        row = await session.execute(
            text(
                "select (select count(*) from usage_keys where organization_id = :id),"
                " (select count(*) from usage_events where organization_id = :id),"
                " (select sum(tokens_in) from usage_monthly where organization_id = :id)"
            ),
            {"id": owner.organization_id},
        )
        keys, events, tokens = row.one()
        return keys, events, tokens


@pytest.mark.parametrize("places", [[0], [SIZE - 1], [4, 5, 17], [*range(SIZE)]])
async def test_repeats_anywhere_in_a_flush_are_repeats_and_the_rest_is_recorded(
    service: Service, owner: Owner, places: list[int]
) -> None:
    await send(owner, [f"old-{place}" for place in places])
    keys = [f"old-{n}" if n in places else f"new-{n}" for n in range(SIZE)]
    found = await send(owner, keys)
    assert [row["status"] for row in found["results"]] == [
        "duplicate" if n in places else "recorded" for n in range(SIZE)
    ]
    assert await stored(service, owner) == (SIZE, SIZE, 10 * SIZE)


async def test_a_key_that_comes_twice_in_one_flush_is_recorded_the_first_time(
    service: Service, owner: Owner
) -> None:
    found = await send(owner, ["a", "b", "a", "c", "b"])
    statuses = [row["status"] for row in found["results"]]
    assert statuses == ["recorded", "recorded", "duplicate", "recorded", "duplicate"]
    assert await stored(service, owner) == (3, 3, 30)


async def test_writers_that_overlap_record_each_key_once(
    service: Service, database_url: URL, owner: Owner
) -> None:
    """Four connections, each with two thirds of what its neighbour has, in another order."""
    connections = [await connect_to_record(database_url) for _ in range(4)]

    async def each(number: int) -> int:
        recorded = 0
        for start in range(0, 60, 6):
            keys = [f"k{(start + number * 2 + step) % 60}" for step in range(6)]
            if number % 2:
                keys.reverse()
            row = await write(service, owner, connections[number], keys)
            recorded += len(keys) - len(row["repeated"])
        return recorded

    try:
        recorded = await asyncio.gather(*(each(number) for number in range(4)))
    finally:
        for connection in connections:
            await connection.close()
    assert sum(recorded) == 60
    assert await stored(service, owner) == (60, 60, 600)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_key_that_somebody_is_just_adding_is_waited_for(
    service: Service, owner: Owner, writer: asyncpg.Connection, is_kept: bool
) -> None:
    other = writer.transaction()
    await other.start()
    row = await write(service, owner, writer, ["first", "second"])
    assert row["state"] == "written"
    sending = asyncio.create_task(send(owner, ["new", "second"]))
    await waiting(service, 1, sending)
    assert not sending.done()
    await (other.commit() if is_kept else other.rollback())
    found = await sending
    assert (found["recorded"], found["duplicates"]) == ((1, 1) if is_kept else (2, 0))
    assert await stored(service, owner) == ((3, 3, 30) if is_kept else (2, 2, 20))


async def test_without_the_second_look_a_repeat_would_fail_its_whole_flush(
    service: Service, owner: Owner, writer: asyncpg.Connection
) -> None:
    """What the second look is for: the function with only the first."""
    await send(owner, ["old"])
    blind = RECORD.replace(
        "exception when unique_violation then", "exception when division_by_zero then"
    )
    assert blind != RECORD
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute(blind)
    with pytest.raises(asyncpg.UniqueViolationError):
        await write(service, owner, writer, ["new", "old"])
    await transaction.rollback()
    row = await write(service, owner, writer, ["new", "old"])
    assert (row["state"], row["repeated"]) == ("written", [2])
