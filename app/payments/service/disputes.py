"""Looking disputes up."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest
from app.payments.domain import Dispute
from app.payments.repository import PaymentRepository


class DisputeService:
    """What operators see of disputes; they are answered at Stripe."""

    def __init__(self, work: UnitOfWork, payments: PaymentRepository) -> None:
        self._work = work
        self._payments = payments

    async def list(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None = None,
        *,
        is_open: bool | None = None,
    ) -> Page[Dispute]:
        """Disputes and inquiries of everybody, the newest first."""
        async with self._work.begin_platform():
            return await self._payments.list_disputes_for_operators(
                request, organization_id, is_open=is_open
            )
