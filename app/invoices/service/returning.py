"""What of the money that came in for an invoice of ours may still go back, whichever way."""

from __future__ import annotations

from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.repository.sent_back import SentBackRepository
from app.kernel.ids import OrganizationId


class MoneyLeft:
    """Credit notes and refunds of the charge count alike, sent or promised; together they never
    come to more than was paid. Joins the unit around it and keeps others out until it ends."""

    def __init__(self, work: UnitOfWork, back: SentBackRepository) -> None:
        self._work = work
        self._back = back

    async def directly(self, organization_id: OrganizationId, invoice_id: UUID) -> int:
        """What was refunded of an invoice without a credit note, or is asked for."""
        async with self._work.begin(organization_id):
            return await self._back.directly(organization_id, invoice_id)

    async def of_invoice(
        self, organization_id: OrganizationId, invoice_id: UUID, but_for: UUID | None = None
    ) -> int:
        """What is left of what was paid; *but_for* is a credit note whose own refund is meant."""
        async with self._work.begin(organization_id):
            gone = await self._back.directly(organization_id, invoice_id)
            kept = await self._back.kept_of_notes(organization_id, invoice_id, but_for)
            return max(kept - gone, 0)

    async def of_collected(
        self, organization_id: OrganizationId, stripe_invoice_id: str, but_for: UUID | None
    ) -> int | None:
        """As `of_invoice`, by the invoice at Stripe that collects ours; None where it collects none."""
        async with self._work.begin(organization_id):
            found = await self._back.collected_by(organization_id, stripe_invoice_id)
            if found is None:
                return None
            return await self.of_invoice(organization_id, found, but_for)
