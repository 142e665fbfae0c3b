"""Asking Stripe about a charge, from whichever end it is heard of."""

from __future__ import annotations

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.payments import PaymentsGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.payments.domain import PaymentReport
from app.payments.repository import PaymentRepository


class PaymentReports:
    """Fetches all there is about a charge. Never inside a unit of work.

    News of a refund or of a dispute is news of its charge, so all of it is asked again under one
    ticket: there is one order of answers to keep, not three. The ticket is taken before the first
    question (see decision 0701).
    """

    def __init__(
        self, work: UnitOfWork, payments: PaymentRepository, stripe: PaymentsGateway
    ) -> None:
        self._work = work
        self._payments = payments
        self._stripe = stripe

    async def of_charge(self, charge_id: str) -> PaymentReport:
        """Raises `StripeMissing` for a charge that Stripe does not know."""
        return await self._ask(charge_id, is_disputed=False)

    async def _ask(self, charge_id: str, *, is_disputed: bool) -> PaymentReport:
        async with self._work.begin_platform():
            ticket = await self._payments.take_ticket_for_platform()
        charge = await self._stripe.get_charge(charge_id)
        intent = charge.payment_intent_id
        return PaymentReport(
            ticket=ticket,
            charge=charge,
            refunds=await self._stripe.list_refunds(charge.id),
            disputes=await self._stripe.list_disputes(charge.id)
            if charge.is_disputed or is_disputed
            else (),
            stripe_invoice_id=await self._stripe.find_invoice_of(intent) if intent else None,
        )

    async def of_refund(self, refund_id: str) -> PaymentReport | None:
        """The report of the refund's charge; None where it belongs to none."""
        refund = await self._stripe.get_refund(refund_id)
        return None if refund.charge_id is None else await self.of_charge(refund.charge_id)

    async def of_dispute(self, dispute_id: str) -> PaymentReport:
        dispute = await self._stripe.get_dispute(dispute_id)
        # A charge that is only inquired about may not say that it is disputed.
        return await self._ask(dispute.charge_id, is_disputed=True)

    async def of_invoice(self, stripe_invoice_id: str) -> tuple[PaymentReport, ...]:
        """A report of each charge that paid an invoice."""
        charges = await self.charges_of(stripe_invoice_id)
        return tuple([await self.of_charge(charge_id) for charge_id in charges])

    async def charges_of(self, stripe_invoice_id: str) -> tuple[str, ...]:
        """The ids of the charges that paid an invoice; none of one that Stripe does not know."""
        try:
            return await self._stripe.list_charges_of(stripe_invoice_id)
        except StripeMissing:
            return ()
