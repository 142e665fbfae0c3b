"""Usage that waits for a price, and who was told of it when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.models import UnpricedAlert, UsageEvent
from app.usage.reports import UnpricedModel


class UnpricedRepository(Repository):
    """Reads by the index of events without a price, which is empty in good times."""

    async def list_waiting_for_operators(self) -> list[tuple[OrganizationId, UnpricedModel]]:
        """What waits, by organization and model; `''` stands for usage that names none."""
        provider = func.coalesce(UsageEvent.provider, "")
        model = func.coalesce(UsageEvent.model, "")
        rows = await self.session.execute(
            select(UsageEvent.organization_id, provider, model, func.count())
            .where(UsageEvent.cost_usd.is_(None), UsageEvent.voided_at.is_(None))
            .group_by(UsageEvent.organization_id, provider, model)
            .order_by(UsageEvent.organization_id, provider, model)
        )
        return [
            (OrganizationId(row[0]), UnpricedModel(row[1], row[2], int(row[3]))) for row in rows
        ]

    async def mark_told(
        self, organization_id: OrganizationId, waiting: UnpricedModel, now: datetime
    ) -> bool:
        """Note that operators are told today; says whether they had not been."""
        told = await self.session.execute(
            insert(UnpricedAlert)
            .values(
                organization_id=organization_id,
                day=now.date(),
                provider=waiting.provider,
                model=waiting.model,
                events=waiting.events,
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(UnpricedAlert.day)
        )
        return told.first() is not None
