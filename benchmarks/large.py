"""Tables as they are after millions of events, filled by SQL with their rollups and keys."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from app.kernel.periods import calendar_month
from benchmarks.events import HAPPENED
from benchmarks.postgres import Database

FEW = 1_000_000
MANY = 20_000_000
SMALL_SUMMARY = 100_000
OTHERS = 500
"""Organizations that share the half of the events that the large one does not have."""

SPAN = timedelta(days=60)
_BYTES_PER_EVENT = 1_000
"""Rows, keys, indexes and the log of writing them."""

_PART = 500_000

_EVENTS = """
insert into usage_events (
    organization_id, id, occurred_at, event_key, event_type, quantity, provider, model,
    tokens_in, tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd,
    price_source, price_reference, window_start, counted, created_at
)
select
    organization,
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3)
        || '8' || substr(h, 4, 15))::uuid,
    at, 'stored-' || n, 'tokens', 1, 'openai', 'model-' || n % 5,
    1000 + n % 500, 100 + n % 50, 0, 0, 0, (1000 + n % 500) * 0.0000025 + (100 + n % 50) * 0.00001,
    'price_book', 'openai/model', date_trunc('month', at, 'UTC'),
    jsonb_build_object('tokens', (1100 + n % 500 + n % 50)::text), at
from (
    select n, md5(n::text || $1) as h,
        ($2::uuid[])[1 + n % cardinality($2::uuid[])] as organization,
        $5::timestamptz + (n - 1) * ($6::interval / $7) as at
    from generate_series($3::bigint, $4::bigint) as n
) as rows
"""

# In the order of the key, so that its index is built from left to right.
_KEYS = """
insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
select organization_id, md5(event_key || organization_id)::uuid, id, md5(event_key)::uuid
from usage_events order by 1, 2
"""

_HOURS = """
insert into usage_hourly (
    organization_id, hour, event_type, provider, model,
    events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced
)
select organization_id, date_trunc('hour', occurred_at, 'UTC'), event_type, provider, model,
    count(*), sum(quantity), sum(tokens_in), sum(tokens_out), 0, sum(cost_usd), 0
from usage_events group by 1, 2, 3, 4, 5
"""

_MONTHS = """
insert into usage_monthly (
    organization_id, month, debates, api_calls, total_tokens, total_cost,
    events, tokens_in, tokens_out, unpriced
)
select organization_id, to_char(hour at time zone 'UTC', 'YYYY-MM'), 0, 0,
    sum(tokens_in + tokens_out), sum(cost_usd), sum(events), sum(tokens_in), sum(tokens_out), 0
from usage_hourly group by 1, 2
"""

_COUNTERS = """
insert into usage_counters (organization_id, metric, window_start, used, held, announced_percent)
select organization_id, 'tokens', date_trunc('month', hour, 'UTC'), sum(tokens_in + tokens_out), 0, 0
from usage_hourly group by 1, 3
"""


def affordable(directory: Path, wanted: int) -> int:
    """How many events the disk holds: at most *wanted*, and never more than half of what is free."""
    free = shutil.disk_usage(directory).free
    return min(wanted, free // 2 // _BYTES_PER_EVENT)


def span() -> tuple[datetime, datetime]:
    """Whole hours that all stored events happened in."""
    end = HAPPENED.replace(minute=0, second=0)
    return end - SPAN, end


async def fill(database: Database, shares: list[tuple[list[UUID], int]]) -> None:
    """Store so many events for each group of organizations, evenly over the span.

    Rollups, counters and keys are made of the events, as recording them would have.
    """
    await _add_partitions(database)
    parts = [
        (number, organizations, first, min(first + _PART - 1, count), count)
        for number, (organizations, count) in enumerate(shares)
        for first in range(1, count + 1, _PART)
    ]
    # Two at once: a backend is one core.
    await asyncio.gather(*(_store(database, parts[each::2]) for each in range(2)))
    connection = await database.connect()
    try:
        await connection.execute("set synchronous_commit = off")
        await connection.execute("set work_mem = '256MB'")
        await connection.execute("set maintenance_work_mem = '256MB'")
        for statement in (_HOURS, _MONTHS, _COUNTERS, _KEYS, "vacuum (analyze)", "checkpoint"):
            await connection.execute(statement, timeout=3600)
    finally:
        await connection.close()


async def _store(database: Database, parts: list[tuple[int, list[UUID], int, int, int]]) -> None:
    start, _ = span()
    connection = await database.connect()
    try:
        await connection.execute("set synchronous_commit = off")
        for number, organizations, first, last, count in parts:
            await connection.execute(
                *(_EVENTS, str(number), organizations, first, last, start, SPAN, count),
                timeout=3600,
            )
    finally:
        await connection.close()


async def _add_partitions(database: Database) -> None:
    start, end = span()
    at = calendar_month(start.astimezone(UTC))
    while at.start < end:
        await database.execute(
            f"create table if not exists usage_events_{at.start:%Y_%m} partition of usage_events "
            f"for values from ('{at.start.isoformat()}') to ('{at.end.isoformat()}')"
        )
        at = calendar_month(at.end)
