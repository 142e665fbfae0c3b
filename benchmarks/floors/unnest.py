"""One statement that inserts events under their permanent keys and moves the same rollups.

It checks nothing: neither plans nor prices nor limits, and it does not say what was a repeat.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as FastUuid  # noqa: N811 - made and sent in C

from app.usage.domain import event_id_at, microseconds_of
from benchmarks.events import HAPPENED, MODEL, PROVIDER, cost, tokens
from benchmarks.reconcile import key_hash

RECORD = """
with input as materialized (
    select *, cost_text::numeric as cost_usd
    from unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::text[],
        $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::timestamptz[],
        $13::jsonb[]
    ) as t (
        organization_id, id, key_hash, payload_hash, occurred_at, event_key, provider, model,
        tokens_in, tokens_out, cost_text, window_start, counted
    )
),
keys as (
    insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
    select organization_id, key_hash, id, payload_hash from input
    order by organization_id, key_hash
    on conflict do nothing
    returning event_id
),
fresh as materialized (select input.* from input join keys on keys.event_id = input.id),
counters as (
    insert into usage_counters
        (organization_id, metric, window_start, used, held, announced_percent)
    select organization_id, 'tokens', window_start, sum(tokens_in + tokens_out), 0, 0
    from fresh group by 1, 3 order by 1, 3
    on conflict (organization_id, metric, window_start)
    do update set used = usage_counters.used + excluded.used
),
stored as (
    insert into usage_events (
        organization_id, id, occurred_at, event_key, event_type, quantity, provider, model,
        tokens_in, tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd,
        price_source, price_reference, price_ids, window_start, counted, created_at
    )
    select
        organization_id, id, occurred_at, event_key, 'tokens', 1, provider, model,
        tokens_in, tokens_out, 0, 0, 0, cost_usd, 'price_book', 'openai/gpt-4o', $14::uuid[],
        window_start, counted, $15::timestamptz
    from fresh order by organization_id, id
),
hours as (
    insert into usage_hourly (
        organization_id, hour, event_type, provider, model,
        events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced
    )
    select organization_id, date_trunc('hour', occurred_at, 'UTC'), 'tokens', provider, model,
        count(*), count(*), sum(tokens_in), sum(tokens_out), 0, sum(cost_usd), 0
    from fresh group by 1, 2, 4, 5 order by 1, 2, 4, 5
    on conflict (organization_id, hour, event_type, provider, model) do update set
        events = usage_hourly.events + excluded.events,
        quantity = usage_hourly.quantity + excluded.quantity,
        tokens_in = usage_hourly.tokens_in + excluded.tokens_in,
        tokens_out = usage_hourly.tokens_out + excluded.tokens_out,
        cost_usd = usage_hourly.cost_usd + excluded.cost_usd
)
insert into usage_monthly (
    organization_id, month, debates, api_calls, total_tokens, total_cost,
    events, tokens_in, tokens_out, unpriced
)
select organization_id, to_char(occurred_at at time zone 'UTC', 'YYYY-MM'), 0, 0,
    sum(tokens_in + tokens_out), sum(cost_usd), count(*), sum(tokens_in), sum(tokens_out), 0
from fresh group by 1, 2 order by 1, 2
on conflict (organization_id, month) do update set
    total_tokens = usage_monthly.total_tokens + excluded.total_tokens,
    total_cost = usage_monthly.total_cost + excluded.total_cost,
    events = usage_monthly.events + excluded.events,
    tokens_in = usage_monthly.tokens_in + excluded.tokens_in,
    tokens_out = usage_monthly.tokens_out + excluded.tokens_out
"""

_PAYLOAD = FastUuid(bytes(16))
_PRICES = [UUID(int=1), UUID(int=2)]


def arguments(organization: UUID, keys: list[str], first: int, now: datetime) -> list[Any]:
    """What `RECORD` takes for the events called *keys*, whose numbers begin with *first*."""
    month = HAPPENED.replace(day=1, hour=0, minute=0, second=0)
    owner = FastUuid(organization.bytes)
    numbers = range(first, first + len(keys))
    size = len(keys)
    counts = [tokens(number) for number in numbers]
    return [
        [owner] * size,
        [FastUuid(event_id_at(microseconds_of(HAPPENED))) for _ in keys],
        [FastUuid(key_hash(key).bytes) for key in keys],
        [_PAYLOAD] * size,
        [HAPPENED] * size,
        keys,
        [PROVIDER] * size,
        [MODEL] * size,
        [count[0] for count in counts],
        [count[1] for count in counts],
        [str(cost(number)) for number in numbers],
        [month] * size,
        [f'{{"tokens": "{sum(count)}"}}' for count in counts],
        _PRICES,
        now,
    ]
