"""Charges and refunds as invoices ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import PaymentMade, TakenIn
from app.kernel.ids import OrganizationId
from app.payments.repository import PaymentRepository


class PaymentsOfInvoices:
    """What is known here of the payments of Stripe's invoices. Joins the unit around it."""

    def __init__(self, work: UnitOfWork, payments: PaymentRepository) -> None:
        self._work = work
        self._payments = payments

    async def of_invoices(
        self, organization_id: OrganizationId, stripe_invoice_ids: Collection[str]
    ) -> Mapping[str, TakenIn]:
        """As `PaymentBook`. What went back is Stripe's own figure where it is higher than ours."""
        if not stripe_invoice_ids:
            return {}
        payments: dict[str, list[PaymentMade]] = defaultdict(list)
        refunded: dict[str, int] = defaultdict(int)
        async with self._work.begin(organization_id):
            rows = await self._payments.list_of_invoices(organization_id, stripe_invoice_ids)
            for charge, back in rows:
                named = charge.stripe_invoice_id or ""
                payments[named].append(
                    PaymentMade(charge.stripe_charge_id, charge.amount, charge.created_at)
                )
                refunded[named] += max(back, charge.amount_refunded)
        return {named: TakenIn(made, refunded[named]) for named, made in payments.items()}
