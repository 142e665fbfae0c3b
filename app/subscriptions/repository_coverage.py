"""Which stretches of time Stripe bills a plan for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from app.infra.db.repository import Repository
from app.subscriptions.models import Subscription

_NEVER_PAID = ("incomplete", "incomplete_expired")


class CoverageRepository(Repository):
    """Subscriptions by when they lived."""

    async def spans_for_platform(
        self, organization_ids: Sequence[UUID]
    ) -> list[tuple[UUID, datetime, datetime | None]]:
        """From when to when each subscription lived; None for those that do."""
        ended = func.coalesce(Subscription.ended_at, Subscription.canceled_at)
        rows = await self.session.execute(
            select(
                Subscription.organization_id, Subscription.created_at, Subscription.status, ended
            ).where(
                Subscription.organization_id.in_(organization_ids),
                Subscription.status.not_in(_NEVER_PAID),
            )
        )
        return [
            (owner, born, end if status == "canceled" else None)
            for owner, born, status, end in rows
        ]
