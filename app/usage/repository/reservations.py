"""Reading reservations, and expiring those that are due."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest
from app.usage.models import Reservation


class ReservationRepository(Repository):
    """Whatever changes a reservation is a function of the database; here they are read."""

    async def find(
        self, organization_id: OrganizationId, reservation_id: UUID
    ) -> Reservation | None:
        return await self.session.get(Reservation, (organization_id, reservation_id))

    async def list_for_organization(
        self,
        organization_id: OrganizationId,
        state: str | None,
        parent_id: UUID | None,
        debate_id: str | None,
        request: PageRequest,
    ) -> Page[Reservation]:
        query = select(Reservation).where(Reservation.organization_id == organization_id)
        for column, value in (
            (Reservation.state, state),
            (Reservation.parent_id, parent_id),
            (Reservation.debate_id, debate_id),
        ):
            if value is not None:
                query = query.where(column == value)
        return await self.page(query, request, Reservation.id, lambda row: row.id)

    async def expire_due(self, now: datetime, at_most: int) -> int:
        """Give back what is overdue; returns how many reservations that were."""
        done = await self.session.scalar(
            text("select usage_expire(:now, null, :at_most)"), {"now": now, "at_most": at_most}
        )
        return int(done or 0)
