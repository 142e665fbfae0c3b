"""An event that comes alone is written by a shorter function, and nobody can tell afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL, text

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId, new_id
from app.pricing.service import PriceService
from app.usage.ddl.record_one import ONE_RESULTS
from app.usage.service.connection import connect_to_record
from app.usage.service.flush import Flush
from app.usage.service.ingest import UsageIngest
from app.usage.service.lone import Lone
from app.usage.service.spend_limits import SpendLimits
from app.usage.service.submission import Submission
from app.usage.service.tenants import Tenants
from app.usage.statement import RECORD_CALL, RECORD_ONE_CALL
from app.usage.wire.events import read_event
from tests.conftest import START
from tests.factories.people import Owner, an_owner, grant_plan
from tests.features.usage.test_spend_limits import a_limit
from tests.support.recount import broken
from tests.support.service import Service

EVENTS = [
    b'{"type":"tokens","provider":"openai","model":"gpt-4o","tokens_in":1000,"tokens_out":7}',
    b'{"type":"tokens","provider":"openai","model":"gpt-4o","tokens_in":5,"cached_tokens":3}',
    b'{"type":"tokens","provider":"nobody","model":"nothing","tokens_in":1,"tokens_out":1}',
    b'{"type":"debate","quantity":"2.5","debate_id":"d","agent":"a","workspace":"w"}',
    b'{"type":"debate","user_id":"u","request_type":"chat","rounds":3,"latency_ms":"12.5"}',
    b'{"type":"api_call","metadata":{"a":[1]},"raw_usage":{"input_tokens":3,"output_tokens":4},"occurred_at":"2026-11-20T23:59:59.5Z"}',
]
ROWS = {
    "usage_events": "id, event_key",
    "usage_hourly": "hour, event_type, provider, model",
    "usage_daily": "day, dimension, value",
    "usage_monthly": "month",
    "usage_counters": "metric, window_start",
    "usage_keys": "key_hash",
}


@pytest.fixture
async def writer(database_url: URL) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_to_record(database_url)
    yield connection
    await connection.close()


class Writes:
    """Writes events of one owner by one of the two functions."""

    def __init__(self, service: Service, owner: Owner, writer: asyncpg.Connection) -> None:
        self.services = service.services
        self.owner = owner
        self._writer = writer

    @property
    def _id(self) -> OrganizationId:
        return self.owner.organization_id

    def submission(self, body: bytes, key: str, **changes: Any) -> Submission:
        made = self.services[UsageIngest].prepare(
            self._id, read_event(body, key), backfill=False, api_key_id=changes.get("api_key_id")
        )
        made.enforce = changes.get("enforce", False)
        return made

    async def alone(self, item: Submission) -> dict[str, Any]:
        tenant = await self.services[Tenants].current(self._id)
        call = Lone(item, tenant, self.services[PriceService].book)
        row = await self._writer.fetchval(RECORD_ONE_CALL, *call.arguments(START))
        return dict(zip(ONE_RESULTS, row, strict=True))

    async def as_many(self, item: Submission) -> Any:
        tenants = self.services[Tenants]
        await tenants.current(self._id)
        call = Flush([item], [self._id], tenants, self.services[PriceService].book)
        return await self._writer.fetchrow(RECORD_CALL, *call.arguments(START))

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that is kept, without the names that are new each time."""
        found = {}
        async with self.services[UnitOfWork].begin(self._id) as session:
            for table, order in ROWS.items():
                rows = await session.execute(
                    text(f"select * from {table} where organization_id = :id order by {order}"),
                    {"id": self._id},
                )
                own = {"organization_id", "id", "event_id"}
                found[table] = [
                    {name: value for name, value in row.items() if name not in own}
                    for row in rows.mappings()
                ]
        found["usage_events"].sort(key=lambda row: str(row["event_key"]))
        return found


async def test_both_functions_write_the_same(service: Service, writer: asyncpg.Connection) -> None:
    """Twice each, so that every rollup is made once and moved once, and repeats change nothing."""
    one = Writes(service, await an_owner(service, "enterprise_plus"), writer)
    many = Writes(service, await an_owner(service, "enterprise_plus"), writer)
    key_id = new_id()
    for turn in ("first", "second"):
        for number, body in enumerate(EVENTS):
            written = []
            for writes in (one, many):
                item = writes.submission(body, f"{turn}-{number}", api_key_id=key_id)
                write = writes.alone if writes is one else writes.as_many
                written.append(await write(item))
                again = await write(writes.submission(body, f"{turn}-{number}"))
                if writes is one:
                    assert again["state"] == "repeated"
                    assert again["stored_id"].hex == item.event_id
                    assert again["stored_hash"].hex == item.payload_hash
                    assert again["used"] == written[0]["used"]
            alone, row = written
            assert alone["state"] == row["state"] == "written"
            for name in ("used", "held"):
                assert [*map(Decimal, alone[name].split())] == row[name]
    assert await one.rows() == await many.rows()
    assert {table: len(rows) for table, rows in (await one.rows()).items()} == {
        "usage_events": 12,
        "usage_hourly": 4,
        "usage_daily": 7,
        "usage_monthly": 1,
        "usage_counters": 3,
        "usage_keys": 12,
    }
    for writes in (one, many):
        assert not await broken(service, writes.owner.organization_id)


async def test_what_does_not_fit_changes_nothing(
    service: Service, writer: asyncpg.Connection
) -> None:
    """Free: 10 debates."""
    writes = Writes(service, await an_owner(service), writer)
    body = b'{"type":"debate","quantity":9}'
    first = await writes.alone(writes.submission(body, "first", enforce=True))
    assert first["state"] == "written"
    before = await writes.rows()
    full = await writes.alone(writes.submission(body, "second", enforce=True))
    assert full["state"] == "full"
    assert await writes.rows() == before
    # It happened all the same, if nobody asks to be refused.
    assert (await writes.alone(writes.submission(body, "second")))["state"] == "written"


async def test_an_old_copy_of_a_plan_writes_nothing(
    service: Service, writer: asyncpg.Connection
) -> None:
    writes = Writes(service, await an_owner(service), writer)
    item = writes.submission(EVENTS[3], "late")
    call = Lone(
        item,
        await service.services[Tenants].current(writes.owner.organization_id),
        service.services[PriceService].book,
    )
    await grant_plan(service, writes.owner.organization_id, "starter")
    row = await writer.fetchval(RECORD_ONE_CALL, *call.arguments(START))
    assert row[0] == "stale"
    assert not any((await writes.rows()).values())


async def test_limits_on_spending_are_for_the_other_function(
    service: Service, writer: asyncpg.Connection
) -> None:
    owner = await an_owner(service)
    writes = Writes(service, owner, writer)
    limit = a_limit("10")
    async with service.work.begin(owner.organization_id):
        await service.services[SpendLimits].put(owner.organization_id, limit)
    assert (await writes.alone(writes.submission(EVENTS[0], "a")))["state"] == "limited"
    assert not any((await writes.rows()).values())
    # Whoever asks the service does not notice: the other function has counted it.
    answer = await owner.client.post(
        "/api/v1/usage/events",
        content=EVENTS[0],
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": "a",
        },
    )
    assert answer.status_code == 201, answer.text
    assert not await broken(service, owner.organization_id)
