"""After every run: is each acknowledged id stored, and do the rollups say what the rows say?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.measured import Failed

_MISSING = """
select s.organization_id, s.key
from unnest($1::uuid[], $2::text[], $3::uuid[]) as s (organization_id, key, key_hash)
left join usage_keys k on k.organization_id = s.organization_id and k.key_hash = s.key_hash
left join usage_events e on e.organization_id = s.organization_id and e.id = k.event_id
where e.event_key is distinct from s.key
limit 5
"""

_SUMS = """
with rows as (
    select count(*) as events, coalesce(sum(tokens_in), 0) as tokens_in,
        coalesce(sum(tokens_out), 0) as tokens_out, coalesce(sum(cost_usd), 0) as cost
    from usage_events where organization_id = any ($1) and voided_at is null
), keys as (
    select count(*) as events from usage_keys where organization_id = any ($1)
), hours as (
    select coalesce(sum(events), 0) as events, coalesce(sum(tokens_in), 0) as tokens_in,
        coalesce(sum(tokens_out), 0) as tokens_out, coalesce(sum(cost_usd), 0) as cost
    from usage_hourly where organization_id = any ($1)
), months as (
    select coalesce(sum(events), 0) as events, coalesce(sum(tokens_in), 0) as tokens_in,
        coalesce(sum(tokens_out), 0) as tokens_out, coalesce(sum(total_cost), 0) as cost
    from usage_monthly where organization_id = any ($1)
), counted as (
    select c.metric, sum(c.amount::numeric) as amount
    from usage_events e cross join lateral jsonb_each_text(e.counted) as c (metric, amount)
    where e.organization_id = any ($1) and e.voided_at is null
    group by c.metric
), counters as (
    select metric, sum(used) as amount from usage_counters
    where organization_id = any ($1) group by metric
), labels as (
    select d.dimension, count(*) as events, sum(e.tokens_in + e.tokens_out) as tokens
    from usage_events e, lateral (
        values ('agent', e.agent), ('debate', e.debate_id), ('user', e.user_id),
            ('workspace', e.workspace)
    ) as d (dimension, value)
    where e.organization_id = any ($1) and e.voided_at is null and d.value is not null
    group by d.dimension
), days as (
    select dimension, sum(events) as events, sum(tokens_in + tokens_out) as tokens
    from usage_daily where organization_id = any ($1)
        and dimension in ('agent', 'debate', 'user', 'workspace')
    group by dimension
)
select
    rows.events as stored,
    keys.events = rows.events as "keys",
    (hours.events, hours.tokens_in, hours.tokens_out, hours.cost)
        = (rows.events, rows.tokens_in, rows.tokens_out, rows.cost) as "hours",
    (months.events, months.tokens_in, months.tokens_out, months.cost)
        = (rows.events, rows.tokens_in, rows.tokens_out, rows.cost) as "months",
    not exists (
        select from counted full join counters using (metric)
        where counted.amount is distinct from counters.amount
    ) as "counters",
    not exists (
        select from labels full join days using (dimension)
        where (labels.events, labels.tokens) is distinct from (days.events, days.tokens)
    ) as "days"
from rows, keys, hours, months
"""


class NotReconciled(Failed):
    """What was acknowledged and what is stored differ: no figure of this run is worth printing."""


@dataclass(frozen=True)
class Reconciled:
    """How many ids were acknowledged, and how many rows their organizations have."""

    acknowledged: int
    stored: int


def key_hash(key: str) -> UUID:
    """How `usage_keys` names the caller's id."""
    return UUID(bytes=hashlib.blake2b(key.encode(), digest_size=16).digest())


async def reconcile(
    connection: asyncpg.Connection,
    acknowledged: Mapping[UUID, Sequence[str]],
    *,
    exactly: bool = True,
) -> Reconciled:
    """Every acknowledged id is stored, sums of rows equal every rollup.

    With *exactly*, the organizations have no other event. Raises `NotReconciled`.
    """
    organizations = list(acknowledged)
    count = await find_each(connection, acknowledged)
    row: Any = await connection.fetchrow(_SUMS, organizations)
    wrong = [name for name in ("keys", "hours", "months", "counters", "days") if not row[name]]
    if wrong:
        raise NotReconciled(f"differ from the rows: {', '.join(wrong)}")
    if exactly and row["stored"] != count:
        raise NotReconciled(f"{count} events were acknowledged, {row['stored']} are stored")
    return Reconciled(count, row["stored"])


async def find_each(
    connection: asyncpg.Connection, acknowledged: Mapping[UUID, Sequence[str]]
) -> int:
    """How many ids were acknowledged. Raises `NotReconciled` unless each is stored."""
    missing = await connection.fetch(_MISSING, *_columns(acknowledged))
    if missing:
        raise NotReconciled(f"acknowledged and not stored, among others: {missing}")
    return sum(len(ids) for ids in acknowledged.values())


def _columns(
    acknowledged: Mapping[UUID, Iterable[str]],
) -> tuple[list[UUID], list[str], list[UUID]]:
    pairs = [(organization, key) for organization, ids in acknowledged.items() for key in ids]
    return (
        [organization for organization, _ in pairs],
        [key for _, key in pairs],
        [key_hash(key) for _, key in pairs],
    )
