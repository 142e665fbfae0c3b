"""Collecting at Stripe itself, through the official SDK."""

from __future__ import annotations

from app.gateways.stripe import billed_amount
from app.gateways.stripe.billed_amount import BilledAmount
from app.gateways.stripe.collection import BILLING_INVOICE, CollectionOrder
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import StripeInvoice
from app.infra.db.unit_of_work import refuse_inside_unit


class LiveCollection:
    """The gateway over HTTP. Each of its calls has a key of its own under the order's."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def collect(self, order: CollectionOrder, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        billed = BilledAmount(
            customer_id=order.customer_id,
            amount=order.amount,
            currency=order.currency,
            description=order.description,
            metadata={BILLING_INVOICE: order.invoice},
            auto_advance=True,
            payment_method_id=order.payment_method_id,
            days_until_due=order.days_until_due,
        )
        return await billed_amount.bill(self._connection, billed, key=key)

    async def stop(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        return await billed_amount.void(self._connection, stripe_invoice_id, key=key)
