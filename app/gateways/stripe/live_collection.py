"""Collecting at Stripe itself, through the official SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.gateways.stripe import parse
from app.gateways.stripe.collection import BILLING_INVOICE, CollectionOrder
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import StripeInvoice
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import InvoiceCreateParams


class LiveCollection:
    """The gateway over HTTP. Each of its calls has a key of its own under the order's."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def collect(self, order: CollectionOrder, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        parameters: InvoiceCreateParams = {
            "customer": order.customer_id,
            "currency": order.currency,
            "collection_method": "charge_automatically",
            "auto_advance": True,
            "pending_invoice_items_behavior": "exclude",
            "description": order.description,
            "metadata": {BILLING_INVOICE: order.invoice},
        }
        if order.payment_method_id is not None:
            parameters["default_payment_method"] = order.payment_method_id
        if order.days_until_due is not None:
            parameters["collection_method"] = "send_invoice"
            parameters["days_until_due"] = order.days_until_due
        v1, ask = self._connection.v1, self._connection.ask
        draft = await ask(
            "create_invoice",
            lambda: v1.invoices.create_async(parameters, {"idempotency_key": f"{key}:invoice"}),
            parse.invoice,
        )
        if draft.id is None:
            raise LookupError("Stripe made an invoice without an id")
        made = draft.id
        await ask(
            "create_invoice_item",
            lambda: v1.invoice_items.create_async(
                {
                    "customer": order.customer_id,
                    "invoice": made,
                    "amount": order.amount,
                    "currency": order.currency,
                    "description": order.description,
                },
                {"idempotency_key": f"{key}:item"},
            ),
            lambda item: item["id"],
        )
        return await ask(
            "finalize_invoice",
            lambda: v1.invoices.finalize_invoice_async(
                made, {"auto_advance": True}, {"idempotency_key": f"{key}:finalize"}
            ),
            parse.invoice,
        )

    async def stop(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        return await self._connection.ask(
            "void_invoice",
            lambda: self._connection.v1.invoices.void_invoice_async(
                stripe_invoice_id, {}, {"idempotency_key": f"{key}:void"}
            ),
            parse.invoice,
        )
