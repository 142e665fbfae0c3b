"""Organizations with a month of usage that waits to be billed, filled in by SQL."""

from __future__ import annotations

from benchmarks.postgres import Database

EVENTS = 20
"""Of each organization: one a day."""

_PART = 10_000
"""Organizations to a statement."""

_ORGANIZATIONS = """
insert into organizations (
    id, name, slug, plan, catalog_version, limits, features, is_suspended, is_disputed, created_at
)
select
    (lpad(to_hex((extract(epoch from timestamptz '2025-12-01') * 1000)::bigint + n), 12, '0') || '7'
        || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
    'Closing', 'closing-' || n, 'enterprise_plus',
    (select id from catalog_versions order by created_at limit 1), '{}', '[]', false, false,
    '2025-12-01'
from (select n, md5('closing' || n) as h from generate_series($1::bigint, $2::bigint) as n) as rows
"""

# One person owns them all.
_OWNERS = """
insert into memberships (organization_id, user_id, role, joined_at)
select id, '019ad735-8400-7000-8000-000000000001', 'owner', created_at from organizations
"""
_OWNER = """
insert into users (id, email, name, password_hash, is_operator, created_at)
values ('019ad735-8400-7000-8000-000000000001', 'owner@example.com', 'Owner', '', false,
    '2025-12-01')
"""

# No two organizations use the same: each invoice has an amount of its own.
_EVENTS = f"""
insert into usage_events (
    organization_id, id, occurred_at, event_key, event_type, quantity, provider, model, tokens_in,
    tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd, price_source,
    price_reference, window_start, counted, created_at
)
select organization, (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
        || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
    at, 'stored-' || day, 'tokens', 1, 'anthropic', 'claude-sonnet-4', tokens_in, 100, 0, 0, 0,
    tokens_in * 0.000003 + 100 * 0.000015, 'price_book', 'anthropic/claude-sonnet-4', '2026-01-01',
    jsonb_build_object('tokens', (tokens_in + 100)::text), at
from (
    select o.id as organization, day, md5(o.id::text || day) as h,
        timestamptz '2026-01-02' + day * interval '1 day' as at,
        1000 + n % 1000 + day as tokens_in
    from generate_series($1::bigint, $2::bigint) as n
    join organizations o on o.slug = 'closing-' || n
    cross join generate_series(1, {EVENTS}) as day
) as rows
"""

_ROLLUPS = (
    """
insert into usage_hourly (
    organization_id, hour, event_type, provider, model,
    events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced
)
select organization_id, date_trunc('hour', occurred_at, 'UTC'), event_type, provider, model,
    count(*), sum(quantity), sum(tokens_in), sum(tokens_out), 0, sum(cost_usd), 0
from usage_events group by 1, 2, 3, 4, 5
""",
    """
insert into usage_monthly (
    organization_id, month, debates, api_calls, total_tokens, total_cost,
    events, tokens_in, tokens_out, unpriced
)
select organization_id, to_char(hour at time zone 'UTC', 'YYYY-MM'), 0, 0,
    sum(tokens_in + tokens_out), sum(cost_usd), sum(events), sum(tokens_in), sum(tokens_out), 0
from usage_hourly group by 1, 2
""",
    """
insert into usage_counters (organization_id, metric, window_start, used, held, announced_percent)
select organization_id, 'tokens', timestamptz '2026-01-01', sum(tokens_in + tokens_out), 0, 0
from usage_hourly group by 1
""",
    """
insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
select organization_id, md5(event_key || organization_id)::uuid, id, md5(event_key)::uuid
from usage_events order by 1, 2
""",
)
"""As recording the events would have left them."""


async def plant(database: Database, count: int) -> None:
    """So many organizations of a plan with a fee and metered tokens, and their January."""
    connection = await database.connect()
    try:
        await connection.execute("set synchronous_commit = off")
        await connection.execute("set work_mem = '256MB'")
        await connection.execute("set maintenance_work_mem = '256MB'")
        for first in range(1, count + 1, _PART):
            last = min(first + _PART - 1, count)
            await connection.execute(_ORGANIZATIONS, first, last, timeout=600)
            await connection.execute(_EVENTS, first, last, timeout=600)
        for statement in (_OWNER, _OWNERS, *_ROLLUPS, "vacuum (analyze)", "checkpoint"):
            await connection.execute(statement, timeout=3600)
    finally:
        await connection.close()
