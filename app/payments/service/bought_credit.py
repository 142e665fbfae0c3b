"""What refunds and lost disputes do to credit that their charge had bought."""

from __future__ import annotations

from uuid import UUID

from app.credits.service.taking_back import TakingBack
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.payments.domain import LOST, went_back
from app.payments.errors import RefundNotFound
from app.payments.repository import PaymentRepository


class BoughtCredit:
    """Looks at how things stand now, so the order in which news is heard does not matter."""

    def __init__(
        self, work: UnitOfWork, payments: PaymentRepository, taking_back: TakingBack
    ) -> None:
        self._work = work
        self._payments = payments
        self._taking_back = taking_back

    async def follow_refund(self, organization_id: OrganizationId, refund_id: UUID) -> None:
        """Take credit back for a refund, or give it back for one that came to nothing."""
        async with self._work.begin(organization_id):
            try:
                refund, charge = await self._payments.get_refund(organization_id, refund_id)
            except RefundNotFound:
                return
            cause = f"refund:{refund.id}"
            if not went_back(refund.status):
                await self._taking_back.undo(organization_id, cause, "Refund failed")
            elif charge.stripe_invoice_id is not None:
                amount = Money(refund.amount, Currency(refund.currency))
                await self._taking_back.take_back(
                    organization_id, charge.stripe_invoice_id, amount, cause, refund.created_at
                )

    async def follow_dispute(self, organization_id: OrganizationId, dispute_id: UUID) -> None:
        """Take credit back for a dispute that was lost, or give it back for one won after all."""
        async with self._work.begin(organization_id):
            disputes = await self._payments.list_disputes(organization_id)
            dispute = next((one for one in disputes if one.id == dispute_id), None)
            if dispute is None:
                return
            cause = f"dispute:{dispute.id}"
            if dispute.status != LOST:
                await self._taking_back.undo(organization_id, cause, "Dispute won")
                return
            charge = await self._payments.get_charge(organization_id, dispute.charge_id)
            if charge.stripe_invoice_id is not None:
                amount = Money(dispute.amount, Currency(dispute.currency))
                await self._taking_back.take_back(
                    organization_id,
                    charge.stripe_invoice_id,
                    amount,
                    cause,
                    dispute.opened_at,
                )
