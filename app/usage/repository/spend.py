"""Limits on spending, in and out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.ddl.gate import ALONE
from app.usage.models import Spend, SpendLimit, SpendOverride
from app.usage.spend import (
    CREDIT,
    Limit,
    Override,
    SpendLabels,
    SpendPeriod,
    SpendScope,
    SpendStanding,
)

# Rollups, because they change with the events and are kept when old events have gone. Periods
# begin at midnight UTC, so whole hours and whole days add up to them exactly.
_FROM_HOURS = """
select usage_period_start(:period, hour) as period_start, sum(cost_usd) as cost
from usage_hourly
where organization_id = :organization_id and hour >= :since
    and (:scope = 'organization' or model = :subject or provider || '/' || model = :subject)
group by 1 order by 1
"""

_FROM_DAYS = """
select usage_period_start(:period, day::timestamp at time zone 'UTC') as period_start,
    sum(cost_usd) as cost
from usage_daily
where organization_id = :organization_id and day >= (cast(:since as timestamptz) at time zone 'UTC')::date
    and dimension = :scope and value = :subject
group by 1 order by 1
"""

_POST = """
select p.limit_id, p.period_start
from (
    select array_agg(k.organization_id) as organizations, array_agg(k.limit_id) as limits,
        array_agg(k.period_start) as starts,
        array_agg((cast(:costs as numeric[]))[k.event]) as costs
    from usage_spend_lock(
        :now, cast(:organizations as uuid[]), cast(:occurred_at as timestamptz[]),
        cast(:workspaces as text[]), cast(:user_ids as text[]), cast(:api_key_ids as uuid[]),
        cast(:debate_ids as text[]), cast(:providers as text[]), cast(:models as text[]),
        '{}', '{}'
    ) as k
) as m
cross join lateral usage_spend_post(:now, m.organizations, m.limits, m.starts, m.costs) as p
where m.limits is not null
"""


_NEWS = """
select s.organization_id, s.limit_id, s.period_start
from spend s
join spend_limits l on l.organization_id = s.organization_id and l.id = s.limit_id
where l.is_active and s.posted + s.held > 0 and exists (
    select from unnest(l.thresholds) as f
    where f > s.announced and s.posted + s.held >= f * l.amount_usd
)
order by 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class SpendChange:
    """An event's cost moved: by how much, where, and when it had happened."""

    labels: SpendLabels
    occurred_at: datetime
    cost: Decimal


class SpendRepository(Repository):
    """The tables of limits, overrides and what periods have seen."""

    async def alone(self, organization_id: OrganizationId) -> None:
        """Keep out everybody who records, until the unit ends."""
        await self.session.execute(text(ALONE), {"organization_id": organization_id})

    async def find(self, organization_id: OrganizationId, limit_id: UUID) -> SpendLimit | None:
        return await self.session.get(
            SpendLimit, (organization_id, limit_id), populate_existing=True
        )

    async def save(
        self, organization_id: OrganizationId, limit: Limit, counts_from: datetime
    ) -> None:
        """Store the limit; *counts_from* only matters when it is new or was removed."""
        values = {
            "scope": limit.scope.value,
            "subject": limit.subject,
            "period": limit.period.value,
            "amount_usd": limit.amount_usd,
            "soft_usd": limit.soft_usd,
            "hard_usd": limit.hard_usd,
            "thresholds": list(limit.thresholds),
            "auto_suspend": limit.auto_suspend,
            "counts_from": counts_from,
            "is_active": True,
        }
        await self.session.execute(
            insert(SpendLimit)
            .values(organization_id=organization_id, id=limit.id, **values)
            .on_conflict_do_update(index_elements=["organization_id", "id"], set_=values)
        )

    async def count(self, organization_id: OrganizationId, limit: Limit, since: datetime) -> None:
        """Set what each period from *since* on has seen to what its events cost."""
        by_hour = limit.scope in (SpendScope.ORGANIZATION, SpendScope.MODEL)
        rows = await self.session.execute(
            text(_FROM_HOURS if by_hour else _FROM_DAYS),
            {
                "organization_id": organization_id,
                "period": limit.period.value,
                "scope": limit.scope.value,
                "subject": limit.subject,
                "since": since,
            },
        )
        seen = {since: Decimal(0)} | {row.period_start: row.cost for row in rows}
        for period_start, cost in sorted(seen.items()):
            statement = insert(Spend).values(
                organization_id=organization_id,
                limit_id=limit.id,
                period_start=period_start,
                posted=cost,
                held=0,
                announced=0,
            )
            await self.session.execute(
                statement.on_conflict_do_update(
                    index_elements=["organization_id", "limit_id", "period_start"],
                    set_={"posted": statement.excluded.posted},
                )
            )

    async def deactivate(self, organization_id: OrganizationId, limit_id: UUID) -> bool:
        """Says whether it was active."""
        return await self._change(organization_id, limit_id, is_active=False)

    async def set_suspension(
        self,
        organization_id: OrganizationId,
        limit_id: UUID,
        at: datetime | None,
        until: datetime | None = None,
    ) -> bool:
        """Suspend the limit's scope *until* an instant or for good, or resume it where *at* is None."""
        return await self._change(organization_id, limit_id, suspended_at=at, suspended_until=until)

    async def _change(self, organization_id: OrganizationId, limit_id: UUID, **values: Any) -> bool:
        changed = await self.session.execute(
            update(SpendLimit)
            .where(
                SpendLimit.organization_id == organization_id,
                SpendLimit.id == limit_id,
                SpendLimit.is_active,
            )
            .values(**values)
            .returning(SpendLimit.id)
            .execution_options(synchronize_session=False)
        )
        return changed.first() is not None

    async def add_override(self, organization_id: OrganizationId, override: Override) -> None:
        self.session.add(
            SpendOverride(
                organization_id=organization_id,
                id=override.id,
                limit_id=override.limit_id,
                user_id=override.user_id,
                until=override.until,
            )
        )
        await self.session.flush()

    async def delete_override(self, organization_id: OrganizationId, override_id: UUID) -> None:
        await self.session.execute(
            delete(SpendOverride).where(
                SpendOverride.organization_id == organization_id, SpendOverride.id == override_id
            )
        )

    async def lifted(
        self,
        organization_id: OrganizationId,
        limit_ids: Sequence[UUID],
        callers: Iterable[str],
        now: datetime,
    ) -> set[UUID]:
        """Which of these limits do not refuse one of *callers* at *now*."""
        rows = await self.session.scalars(
            select(SpendOverride.limit_id).where(
                SpendOverride.organization_id == organization_id,
                SpendOverride.limit_id.in_(limit_ids),
                SpendOverride.until > now,
                or_(SpendOverride.user_id.is_(None), SpendOverride.user_id.in_(list(callers))),
            )
        )
        return set(rows)

    async def standings(
        self,
        organization_id: OrganizationId,
        now: datetime,
        *,
        limit_ids: Sequence[UUID] | None = None,
        labels: SpendLabels | None = None,
    ) -> list[SpendStanding]:
        """Active limits in their running periods: those named, those that *labels* meet, or all."""
        start = func.usage_period_start(SpendLimit.period, now)
        query = (
            select(
                SpendLimit,
                start,
                func.coalesce(Spend.posted, 0),
                func.coalesce(Spend.held, 0),
                func.coalesce(Spend.announced, 0),
            )
            .outerjoin(
                Spend,
                and_(
                    Spend.organization_id == SpendLimit.organization_id,
                    Spend.limit_id == SpendLimit.id,
                    Spend.period_start == start,
                ),
            )
            .where(
                SpendLimit.organization_id == organization_id,
                SpendLimit.is_active,
                SpendLimit.scope != CREDIT,
            )
            .order_by(SpendLimit.id)
            .execution_options(populate_existing=True)
        )
        if limit_ids is not None:
            query = query.where(SpendLimit.id.in_(limit_ids))
        if labels is not None:
            subjects = [(scope.value, subject) for scope, subject in labels.subjects()]
            query = query.where(tuple_(SpendLimit.scope, SpendLimit.subject).in_(subjects))
        rows = await self.session.execute(query)
        return [_standing(*row) for row in rows]

    async def note_reached(
        self,
        organization_id: OrganizationId,
        limit_id: UUID,
        period_start: datetime,
        at: datetime | None,
    ) -> datetime | None:
        """Note that the amount is spent, unless it is noted, or that it no longer is (*at* None).

        Gives back what was noted before.
        """
        place = (
            Spend.organization_id == organization_id,
            Spend.limit_id == limit_id,
            Spend.period_start == period_start,
        )
        before = await self.session.scalar(select(Spend.reached_at).where(*place).with_for_update())
        await self.session.execute(
            update(Spend)
            .where(*place)
            .values(reached_at=None if at is None else func.coalesce(Spend.reached_at, at))
            .execution_options(synchronize_session=False)
        )
        return before

    async def claim_news(
        self, organization_id: OrganizationId, limit_id: UUID, period_start: datetime
    ) -> tuple[SpendStanding, list[Decimal]] | None:
        """Mark as announced what a period has reached, and say what that is, lowest first."""
        spend = await self.session.scalar(
            select(Spend)
            .where(
                Spend.organization_id == organization_id,
                Spend.limit_id == limit_id,
                Spend.period_start == period_start,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        row = await self.find(organization_id, limit_id)
        if spend is None or row is None or not row.is_active:
            return None
        standing = _standing(row, period_start, spend.posted, spend.held, spend.announced)
        fractions = standing.news()
        if not fractions:
            return None
        spend.announced = fractions[-1]
        await self.session.flush()
        return standing, fractions

    async def list_news_for_platform(self) -> list[tuple[OrganizationId, UUID, datetime]]:
        """Every period that has reached what was not announced."""
        rows = await self.session.execute(text(_NEWS))
        return [(OrganizationId(row[0]), row[1], row[2]) for row in rows]

    async def post(
        self, organization_id: OrganizationId, changes: Sequence[SpendChange], now: datetime
    ) -> list[tuple[UUID, datetime]]:
        """Move what limits have seen; gives back the limits and periods with news to announce.

        Call it in the order of locks: after counters and events, before rollups.
        """
        rows = await self.session.execute(
            text(_POST),
            {
                "now": now,
                "organizations": [organization_id] * len(changes),
                "occurred_at": [change.occurred_at for change in changes],
                "workspaces": [change.labels.workspace for change in changes],
                "user_ids": [change.labels.user_id for change in changes],
                "api_key_ids": [change.labels.api_key_id for change in changes],
                "debate_ids": [change.labels.debate_id for change in changes],
                "providers": [change.labels.provider for change in changes],
                "models": [change.labels.model for change in changes],
                "costs": [change.cost for change in changes],
            },
        )
        return [(row.limit_id, row.period_start) for row in rows]


def limit_of(row: SpendLimit) -> Limit:
    return Limit(
        id=row.id,
        scope=SpendScope(row.scope),
        subject=row.subject,
        period=SpendPeriod(row.period),
        amount_usd=row.amount_usd,
        soft_usd=row.soft_usd,
        hard_usd=row.hard_usd,
        thresholds=tuple(row.thresholds),
        auto_suspend=row.auto_suspend,
    )


def _standing(
    row: SpendLimit, start: datetime, posted: Decimal, held: Decimal, announced: Decimal
) -> SpendStanding:
    limit = limit_of(row)
    return SpendStanding(
        limit=limit,
        period_start=start,
        period_end=limit.period.end(start),
        posted=posted,
        held=held,
        announced=announced,
        suspended_at=row.suspended_at,
        suspended_until=row.suspended_until,
    )
