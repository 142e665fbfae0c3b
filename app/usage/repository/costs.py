"""What cost reports read: names by cost, cached tokens by the hour, latencies, closing figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import TextClause, func, select, text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.usage.domain import Figures, first_id_at
from app.usage.models import UsageEvent, UsageHour
from app.usage.reports import LATENCY_EVENTS, Latency, Names
from app.usage.repository.reading import MILLISECOND, figures_of, happened_within

_NAMES = """
with parts as (
    select dimension, value, events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd,
        unpriced
    from usage_daily
    where organization_id = :organization_id and day >= :first and day < :last
    union all
    select d.dimension, d.value, 1, e.quantity, e.tokens_in, e.tokens_out, e.cached_tokens,
        coalesce(e.cost_usd, 0), (e.cost_usd is null)::int
    from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[]),
        cast(:first_ids as uuid[]), cast(:last_ids as uuid[])) as s (start, until, from_id, to_id)
    join usage_events e
        on e.organization_id = :organization_id and e.id >= s.from_id and e.id < s.to_id
        and e.occurred_at >= s.start and e.occurred_at < s.until and e.voided_at is null
    cross join lateral (
        values ('agent', e.agent), ('api_key', e.api_key_id::text), ('debate', e.debate_id),
            ('request_type', e.request_type), ('user', e.user_id), ('workspace', e.workspace)
    ) as d (dimension, value)
    where d.value is not null
),
sums as (
    select dimension, value, sum(events) as events, sum(quantity) as quantity,
        sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
        sum(cached_tokens) as cached_tokens, sum(cost_usd) as cost_usd, sum(unpriced) as unpriced
    from parts group by dimension, value having sum(events) <> 0
),
ranked as (
    select *, row_number() over (
            partition by dimension order by cost_usd desc, events desc, value
        ) as place,
        count(*) over (partition by dimension) as names,
        sum(cost_usd) over (partition by dimension) as whole
    from sums
)
select dimension, value, events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd,
    unpriced, names, whole
from ranked where place <= :most order by dimension, value
"""

# Whatever plan counts when a window is closed: what drew on credit then was paid for.
_FROM_CREDIT = """coalesce(occurred_at <@ (
        select l.counts_in from spend_limits l
        where l.organization_id = :organization_id and l.scope = 'credit'
    ), false) as from_credit"""

_SUMS = f"""
select event_type, coalesce(provider, '') as provider, coalesce(model, '') as model, {_FROM_CREDIT},
    count(*) as events, count(*) filter (where cost_usd is null) as unpriced,
    coalesce(sum(quantity), 0), coalesce(sum(tokens_in), 0), coalesce(sum(cached_tokens), 0),
    coalesce(sum(cache_write_tokens), 0), coalesce(sum(tokens_out), 0),
    coalesce(sum(reasoning_tokens), 0), coalesce(sum(cost_usd), 0)
from usage_events
where organization_id = :organization_id and id >= :first_id and id < :last_id
    and occurred_at >= :since and occurred_at < :until and voided_at is null
group by 1, 2, 3, 4
"""

# Sorted hashes are joined by the day, so that no organization has too many events for one value.
_PROVING = f"""
with e as (
    select event_type, coalesce(provider, '') as provider, coalesce(model, '') as model,
        {_FROM_CREDIT}, quantity, tokens_in, cached_tokens, cache_write_tokens, tokens_out,
        reasoning_tokens, cost_usd,
        (occurred_at at time zone 'UTC')::date as day,
        concat_ws(chr(31), coalesce(price_source, ''), coalesce(price_reference, ''),
            array_to_string(price_ids, ',')) as priced_by,
        sha256(convert_to(concat_ws('|', replace(id::text, '-', ''),
            (extract(epoch from occurred_at) * 1000000)::bigint, trim_scale(quantity), tokens_in,
            cached_tokens, cache_write_tokens, tokens_out, reasoning_tokens,
            coalesce(trim_scale(cost_usd)::text, ''), event_key), 'UTF8')) as hash
    from usage_events
    where organization_id = :organization_id and id >= :first_id and id < :last_id
        and occurred_at >= :since and occurred_at < :until and voided_at is null
), days as (
    select event_type, provider, model, from_credit, day, count(*) as events,
        count(*) filter (where cost_usd is null) as unpriced, sum(quantity) as quantity,
        sum(tokens_in) as tokens_in, sum(cached_tokens) as cached_tokens,
        sum(cache_write_tokens) as cache_write_tokens, sum(tokens_out) as tokens_out,
        sum(reasoning_tokens) as reasoning_tokens, coalesce(sum(cost_usd), 0) as cost_usd,
        sha256(string_agg(hash, ''::bytea order by hash)) as hash,
        array_agg(distinct priced_by) as priced_by
    from e group by event_type, provider, model, from_credit, day
)
select event_type, provider, model, from_credit, sum(events)::bigint, sum(unpriced)::bigint,
    sum(quantity), sum(tokens_in), sum(cached_tokens), sum(cache_write_tokens), sum(tokens_out),
    sum(reasoning_tokens), sum(cost_usd),
    encode(sha256(string_agg(hash, ''::bytea order by day)), 'hex'),
    array_to_json(array_agg(array_to_json(priced_by)))
from days group by event_type, provider, model, from_credit
"""


def _closing(sums: str) -> TextClause:
    return text(f"""
select digests.of_periods, credit.begins, credit.ends, sums.*
from (
    select array(
        select coalesce(md5(string_agg(concat_ws('|', event_type, provider, model, events,
                quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced), chr(10)
            order by event_type, provider, model)), '')
        from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))
            with ordinality as p (starts_at, ends_at, place)
        left join lateral (
            select event_type, provider, model, sum(events) as events,
                trim_scale(sum(quantity)) as quantity, sum(tokens_in) as tokens_in,
                sum(tokens_out) as tokens_out, sum(cached_tokens) as cached_tokens,
                trim_scale(sum(cost_usd)) as cost_usd, sum(unpriced) as unpriced
            from usage_hourly
            where organization_id = :organization_id
                and hour >= date_trunc('day', p.starts_at, 'UTC')
                and hour < date_trunc('day', p.ends_at - interval '1 us', 'UTC') + interval '1 day'
            group by event_type, provider, model
            having sum(events) <> 0
        ) as rollups on true
        group by place order by place
    ) as of_periods
) as digests
cross join (
    select array_agg(lower(stretch) order by stretch) as begins,
        array_agg(upper(stretch) order by stretch) as ends
    from spend_limits l cross join unnest(l.counts_in) as stretch
    where l.organization_id = :organization_id and l.scope = 'credit'
) as credit
left join ({sums}) as sums on true
order by sums.event_type, sums.provider, sums.model, sums.from_credit
""")


_CLOSING, _CLOSING_PROVING = _closing(_SUMS), _closing(_PROVING)

_NO_DAY = date(1970, 1, 1)

CachedTokens = tuple[datetime, str, str, int]
"""An hour, provider, model, and the cached tokens of it."""


class CostRepository(Repository):
    """Sums for reports. Only the ends of a stretch are added up from events."""

    async def names(
        self,
        organization_id: OrganizationId,
        days: Period | None,
        ends: Sequence[Period],
        most: int,
    ) -> dict[str, Names]:
        """Agents, keys, debates, … of whole days and of what is left at the ends of a stretch."""
        rows = await self.session.execute(
            text(_NAMES),
            {
                "organization_id": organization_id,
                "first": days.start.date() if days else _NO_DAY,
                "last": days.end.date() if days else _NO_DAY,
                "starts": [end.start for end in ends],
                "ends": [end.end for end in ends],
                "first_ids": [first_id_at(end.start) for end in ends],
                "last_ids": [first_id_at(end.end + MILLISECOND) for end in ends],
                "most": most,
            },
        )
        shown: dict[str, dict[str, Figures]] = {}
        whole: dict[str, tuple[int, Decimal]] = {}
        for row in rows:
            shown.setdefault(row[0], {})[row[1]] = figures_of(row[2:9])
            whole[row[0]] = (int(row[9]), Decimal(row[10]))
        return {name: Names(found, *whole[name]) for name, found in shown.items()}

    async def cached_by_hour(
        self, organization_id: OrganizationId, since: datetime, until: datetime
    ) -> list[CachedTokens]:
        """Cached tokens of whole hours by model; hours without any are left out."""
        rows = await self.session.execute(
            select(
                UsageHour.hour,
                UsageHour.provider,
                UsageHour.model,
                func.sum(UsageHour.cached_tokens),
            )
            .where(
                UsageHour.organization_id == organization_id,
                UsageHour.hour >= since,
                UsageHour.hour < until,
                UsageHour.cached_tokens > 0,
            )
            .group_by(UsageHour.hour, UsageHour.provider, UsageHour.model)
        )
        return [(row[0].astimezone(UTC), row[1], row[2], int(row[3])) for row in rows]

    async def latency(
        self, organization_id: OrganizationId, since: datetime, until: datetime
    ) -> Latency | None:
        """Percentiles over the latest events of a stretch; `None` where none says how long."""
        latest = (
            select(UsageEvent.latency_ms, UsageEvent.occurred_at)
            .where(
                UsageEvent.organization_id == organization_id,
                happened_within(since, until),
                UsageEvent.voided_at.is_(None),
            )
            .order_by(UsageEvent.id.desc())
            .limit(LATENCY_EVENTS)
            .subquery()
        )
        row = (
            await self.session.execute(
                select(
                    func.count(),
                    func.min(latest.c.occurred_at),
                    *(
                        func.percentile_cont(share).within_group(latest.c.latency_ms)
                        for share in (0.5, 0.95, 0.99)
                    ),
                ).where(latest.c.latency_ms.is_not(None))
            )
        ).one()
        if not row[0]:
            return None
        p50, p95, p99 = (Decimal(str(round(value, 3))) for value in row[2:])
        return Latency(int(row[0]), row[1].astimezone(UTC), p50, p95, p99)

    async def closing(
        self,
        organization_id: OrganizationId,
        period: Period,
        digests_of: Sequence[Period],
        *,
        proving: bool,
    ) -> tuple[list[str], list[tuple[datetime, datetime | None]], list[Any]]:
        """A digest of the rollups of the whole days of each of *digests_of*; when calls drew on
        credit; and the events of *period* by type, provider, model and whether they did, with
        tokens by role: one snapshot of all.

        *proving* adds to each line the digest of its events and what they were priced by.
        """
        rows = (
            await self.session.execute(
                _CLOSING_PROVING if proving else _CLOSING,
                {
                    "organization_id": organization_id,
                    "first_id": first_id_at(period.start),
                    "last_id": first_id_at(period.end + MILLISECOND),
                    "since": period.start,
                    "until": period.end,
                    "starts": [each.start for each in digests_of],
                    "ends": [each.end for each in digests_of],
                },
            )
        ).all()
        # Without an event there is one row, with the digests and stretches only.
        digests, begins, ends = rows[0][:3]
        stretches = list(zip(begins or (), ends or (), strict=True))
        return list(digests), stretches, [row[3:] for row in rows if row[3] is not None]
