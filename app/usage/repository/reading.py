"""Events, rollups and counters, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, func, select, text, update

from app.kernel.ids import OrganizationId
from app.usage.domain import Figures, Threshold, first_id_at, instant_of
from app.usage.models import (
    UsageCounter,
    UsageDay,
    UsageEvent,
    UsageHour,
    UsageKey,
)
from app.usage.repository.listing import ListingRepository

MILLISECOND = timedelta(milliseconds=1)


def happened_within(since: datetime, until: datetime) -> ColumnElement[bool]:
    """Events of `[since, until)`, found by their ids and kept to their partitions."""
    return and_(
        UsageEvent.id >= first_id_at(since),
        UsageEvent.id < first_id_at(until + MILLISECOND),
        UsageEvent.occurred_at >= since,
        UsageEvent.occurred_at < until,
    )


_SUMS = (
    func.count(),
    func.coalesce(func.sum(UsageEvent.quantity), 0),
    func.coalesce(func.sum(UsageEvent.tokens_in), 0),
    func.coalesce(func.sum(UsageEvent.tokens_out), 0),
    func.coalesce(func.sum(UsageEvent.cached_tokens), 0),
    func.coalesce(func.sum(UsageEvent.cost_usd), 0),
    func.count().filter(UsageEvent.cost_usd.is_(None)),
)

DIMENSIONS = {
    "agent": UsageEvent.agent,
    "api_key": cast(UsageEvent.api_key_id, Text),
    "debate": UsageEvent.debate_id,
    "request_type": UsageEvent.request_type,
    "user": UsageEvent.user_id,
    "workspace": UsageEvent.workspace,
}


def figures_of(row: Sequence[Any]) -> Figures:
    events, quantity, tokens_in, tokens_out, cached, cost, unpriced = row
    return Figures(
        int(events),
        Decimal(quantity),
        int(tokens_in),
        int(tokens_out),
        int(cached),
        Decimal(cost),
        int(unpriced),
    )


def _rollup_sums(table: type[UsageHour | UsageDay]) -> tuple[ColumnElement[Any], ...]:
    return tuple(
        func.coalesce(func.sum(column), 0)
        for column in (
            table.events,
            table.quantity,
            table.tokens_in,
            table.tokens_out,
            table.cached_tokens,
            table.cost_usd,
            table.unpriced,
        )
    )


Named = tuple[datetime, str, str, str, Figures]
"""Hour, event type, provider, model, sums; the hour is the bucket's start."""


class UsageRepository(ListingRepository):
    """The tables of `models.py`."""

    async def stamps_for_operators(
        self, organization_ids: Sequence[OrganizationId]
    ) -> dict[OrganizationId, int]:
        """The version of each organization's row, as the writing statement compares it."""
        rows = await self.session.execute(
            text("select id, xmin::text::bigint from organizations where id = any (:ids)"),
            {"ids": list(organization_ids)},
        )
        return {OrganizationId(row[0]): int(row[1]) for row in rows}

    async def find(self, organization_id: OrganizationId, event_id: UUID) -> UsageEvent | None:
        at = instant_of(event_id)
        return await self.session.scalar(
            select(UsageEvent).where(
                UsageEvent.organization_id == organization_id,
                UsageEvent.id == event_id,
                UsageEvent.occurred_at >= at,
                UsageEvent.occurred_at < at + MILLISECOND,
            )
        )

    async def find_id(self, organization_id: OrganizationId, key: UUID) -> UUID | None:
        """The id of the event that the caller's key belongs to."""
        return await self.session.scalar(
            select(UsageKey.event_id).where(
                UsageKey.organization_id == organization_id, UsageKey.key_hash == key
            )
        )

    async def hours(
        self, organization_id: OrganizationId, since: datetime, until: datetime
    ) -> list[tuple[str, str, str, Figures]]:
        """Sums of whole hours of `[since, until)` by event type, provider and model."""
        keys = (UsageHour.event_type, UsageHour.provider, UsageHour.model)
        rows = await self.session.execute(
            select(*keys, *_rollup_sums(UsageHour))
            .where(
                UsageHour.organization_id == organization_id,
                UsageHour.hour >= since,
                UsageHour.hour < until,
            )
            .group_by(*keys)
        )
        return [(row[0], row[1], row[2], figures_of(row[3:])) for row in rows]

    async def raw(
        self, organization_id: OrganizationId, since: datetime, until: datetime
    ) -> list[tuple[str, str, str, Figures]]:
        """As `hours`, from the events themselves: for the ends of a stretch that cuts an hour."""
        keys = (
            UsageEvent.event_type,
            func.coalesce(UsageEvent.provider, ""),
            func.coalesce(UsageEvent.model, ""),
        )
        rows = await self.session.execute(
            select(*keys, *_SUMS)
            .where(
                UsageEvent.organization_id == organization_id,
                happened_within(since, until),
                UsageEvent.voided_at.is_(None),
            )
            .group_by(*keys)
        )
        return [(row[0], row[1], row[2], figures_of(row[3:])) for row in rows]

    async def buckets(
        self, organization_id: OrganizationId, since: datetime, until: datetime, unit: str
    ) -> list[Named]:
        """Sums by bucket of *unit*, event type, provider and model."""
        start = func.date_trunc(unit, UsageHour.hour, "UTC")
        keys = (UsageHour.event_type, UsageHour.provider, UsageHour.model)
        rows = await self.session.execute(
            select(start, *keys, *_rollup_sums(UsageHour))
            .where(
                UsageHour.organization_id == organization_id,
                UsageHour.hour >= since,
                UsageHour.hour < until,
            )
            .group_by(text("1, 2, 3, 4"))
            .order_by(text("1, 2, 3, 4"))
        )
        return [
            (row[0].astimezone(UTC), row[1], row[2], row[3], figures_of(row[4:])) for row in rows
        ]

    async def day_buckets(
        self,
        organization_id: OrganizationId,
        dimension: str,
        since: date,
        until: date,
        unit: str,
    ) -> list[tuple[datetime, str, Figures]]:
        """Sums by bucket of *unit* (a day or longer) and value of *dimension*."""
        start = func.date_trunc(unit, UsageDay.day)
        rows = await self.session.execute(
            select(start, UsageDay.value, *_rollup_sums(UsageDay))
            .where(
                UsageDay.organization_id == organization_id,
                UsageDay.dimension == dimension,
                UsageDay.day >= since,
                UsageDay.day < until,
            )
            .group_by(text("1, 2"))
            .order_by(text("1, 2"))
        )
        return [
            (datetime.combine(row[0].date(), time(), UTC), row[1], figures_of(row[2:]))
            for row in rows
        ]

    async def raw_by(
        self,
        organization_id: OrganizationId,
        dimension: str,
        since: datetime,
        until: datetime,
        unit: str = "hour",
    ) -> list[tuple[datetime, str, Figures]]:
        """Sums by bucket and value of *dimension*, from the events themselves."""
        column = DIMENSIONS[dimension]
        rows = await self.session.execute(
            select(func.date_trunc(unit, UsageEvent.occurred_at, "UTC"), column, *_SUMS)
            .where(
                UsageEvent.organization_id == organization_id,
                happened_within(since, until),
                UsageEvent.voided_at.is_(None),
                column.is_not(None),
            )
            .group_by(text("1, 2"))
            .order_by(text("1, 2"))
        )
        return [(row[0].astimezone(UTC), row[1], figures_of(row[2:])) for row in rows]

    async def mark_announced(self, organization_id: OrganizationId, reached: Threshold) -> bool:
        """Note that a threshold was announced; says whether it was not before."""
        marked = await self.session.execute(
            update(UsageCounter)
            .where(
                UsageCounter.organization_id == organization_id,
                UsageCounter.metric == reached.metric,
                UsageCounter.window_start == reached.window_start,
                UsageCounter.announced_percent < reached.percent,
            )
            .values(announced_percent=reached.percent)
            .returning(UsageCounter.metric)
        )
        return marked.first() is not None
