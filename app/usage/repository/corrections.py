"""Taking back and pricing later: the rows that change after an event was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.domain import Figures, sums_by
from app.usage.models import (
    UsageCounter,
    UsageDay,
    UsageEvent,
    UsageHour,
    UsageMonth,
    UsageValue,
)

_HOUR_KEY = ("hour", "event_type", "provider", "model")
_DAY_KEY = ("day", "dimension", "value")


class CorrectionRepository(Repository):
    """Voids, later prices, and the rollups and counters that follow them."""

    async def add_to_counter(
        self,
        organization_id: OrganizationId,
        metric: str,
        window_start: datetime,
        amount: Decimal,
    ) -> None:
        """Move a counter up or down; its row is locked until the unit ends."""
        await self.session.execute(
            update(UsageCounter)
            .where(
                UsageCounter.organization_id == organization_id,
                UsageCounter.metric == metric,
                UsageCounter.window_start == window_start,
            )
            .values(used=UsageCounter.used + amount)
        )

    async def mark_void(
        self, organization_id: OrganizationId, event: UsageEvent, at: datetime, reason: str
    ) -> bool:
        """Void the event unless it is void; says whether this call did it."""
        marked = await self.session.execute(
            update(UsageEvent)
            .where(
                UsageEvent.organization_id == organization_id,
                UsageEvent.id == event.id,
                UsageEvent.occurred_at == event.occurred_at,
                UsageEvent.voided_at.is_(None),
            )
            .values(voided_at=at, void_reason=reason)
            .returning(UsageEvent.cost_usd)
            .execution_options(synchronize_session=False)
        )
        return marked.first() is not None

    async def forget_value(
        self,
        organization_id: OrganizationId,
        metric: str,
        window_start: datetime,
        value_hash: UUID,
    ) -> bool:
        """One event less has this value; says whether it was the last one."""
        left = await self.session.scalar(
            update(UsageValue)
            .where(
                UsageValue.organization_id == organization_id,
                UsageValue.metric == metric,
                UsageValue.window_start == window_start,
                UsageValue.value_hash == value_hash,
            )
            .values(events=UsageValue.events - 1)
            .returning(UsageValue.events)
        )
        return left == 0

    async def add_to_rollups(
        self, organization_id: OrganizationId, changes: Sequence[tuple[UsageEvent, Figures]]
    ) -> None:
        """Add figures, which may be negative, where their events were counted.

        Hours first, then days, then months, each sorted: the order in which flushes lock them.
        """
        hours: dict[tuple[Any, ...], Figures] = {}
        days: dict[tuple[Any, ...], Figures] = {}
        months: dict[str, list[tuple[str, Figures]]] = {}
        for event, change in changes:
            at = event.occurred_at.astimezone(UTC)
            hour = at.replace(minute=0, second=0, microsecond=0)
            place = (hour, event.event_type, event.provider or "", event.model or "")
            hours[place] = hours.get(place, Figures()) + change
            for dimension, value in (
                ("agent", event.agent),
                ("api_key", event.api_key_id),
                ("debate", event.debate_id),
                ("request_type", event.request_type),
                ("user", event.user_id),
                ("workspace", event.workspace),
            ):
                if value is not None:
                    day = (at.date(), dimension, str(value))
                    days[day] = days.get(day, Figures()) + change
            months.setdefault(at.strftime("%Y-%m"), []).append((event.event_type, change))
        for key in sorted(hours):
            await self._add(organization_id, UsageHour, _HOUR_KEY, key, asdict(hours[key]))
        for key in sorted(days):
            await self._add(organization_id, UsageDay, _DAY_KEY, key, asdict(days[key]))
        for month in sorted(months):
            total = sum((change for _, change in months[month]), Figures())
            of_type = sums_by(months[month])
            values = {
                "debates": of_type.get("debate", Figures()).quantity,
                "api_calls": of_type.get("api_call", Figures()).quantity,
                "total_tokens": total.total_tokens,
                "total_cost": total.cost_usd,
                "events": total.events,
                "tokens_in": total.tokens_in,
                "tokens_out": total.tokens_out,
                "unpriced": total.unpriced,
            }
            await self._add(organization_id, UsageMonth, ("month",), (month,), values)

    async def _add(
        self,
        organization_id: OrganizationId,
        table: type[UsageHour | UsageDay | UsageMonth],
        names: Sequence[str],
        key: Sequence[Any],
        values: dict[str, Any],
    ) -> None:
        place = {"organization_id": organization_id, **dict(zip(names, key, strict=True))}
        statement = insert(table).values(**place, **values)
        await self.session.execute(
            statement.on_conflict_do_update(
                index_elements=list(place),
                set_={name: getattr(table, name) + statement.excluded[name] for name in values},
            )
        )

    async def list_unpriced_for_operators(self) -> list[tuple[OrganizationId, str, str]]:
        """Organizations with models that had no price, each once."""
        rows = await self.session.execute(
            select(UsageEvent.organization_id, UsageEvent.provider, UsageEvent.model)
            .where(
                UsageEvent.cost_usd.is_(None),
                UsageEvent.voided_at.is_(None),
                UsageEvent.provider.is_not(None),
                UsageEvent.model.is_not(None),
            )
            .distinct()
        )
        return [(OrganizationId(row[0]), row[1] or "", row[2] or "") for row in rows]

    async def claim_unpriced(
        self,
        organization_id: OrganizationId,
        provider: str,
        model: str,
        after: UUID | None,
        limit: int,
    ) -> list[UsageEvent]:
        """Some events of a model that wait for a price, locked; those locked by others are left."""
        query = select(UsageEvent)
        if after is not None:
            query = query.where(UsageEvent.id > after)
        rows = await self.session.scalars(
            query.where(
                UsageEvent.organization_id == organization_id,
                UsageEvent.provider == provider,
                UsageEvent.model == model,
                UsageEvent.cost_usd.is_(None),
                UsageEvent.voided_at.is_(None),
            )
            .order_by(UsageEvent.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return list(rows)
