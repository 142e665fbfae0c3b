"""Selling credit at Stripe itself, through the official SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.gateways.stripe import parse
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import CardDeclined, StripeRefused
from app.gateways.stripe.gateway import StripeInvoice
from app.gateways.stripe.top_ups import BILLING_TOP_UP, Charged, ChargeRefusal, TopUpOrder
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import InvoiceCreateParams

_NEEDS_HOLDER = frozenset({"invoice_payment_intent_requires_action", "authentication_required"})


class LiveTopUps:
    """The gateway over HTTP. Each of its calls has a key of its own under the order's."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def issue(self, order: TopUpOrder, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        parameters: InvoiceCreateParams = {
            "customer": order.customer_id,
            "currency": order.currency,
            "collection_method": "charge_automatically",
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "description": order.description,
            "metadata": {BILLING_TOP_UP: order.top_up},
        }
        if order.payment_method_id is not None:
            parameters["default_payment_method"] = order.payment_method_id
        else:
            parameters["collection_method"] = "send_invoice"
            parameters["days_until_due"] = 1
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
                    # Credit is sold for what it is worth, whatever coupon the customer has.
                    "discountable": False,
                },
                {"idempotency_key": f"{key}:item"},
            ),
            lambda item: item["id"],
        )
        return await ask(
            "finalize_invoice",
            lambda: v1.invoices.finalize_invoice_async(
                made, {"auto_advance": False}, {"idempotency_key": f"{key}:finalize"}
            ),
            parse.invoice,
        )

    async def charge(self, stripe_invoice_id: str, *, key: str) -> Charged:
        refuse_inside_unit()
        v1, ask = self._connection.v1, self._connection.ask
        refusal: ChargeRefusal | None
        try:
            paid = await ask(
                "pay_invoice",
                lambda: v1.invoices.pay_async(
                    stripe_invoice_id, {"off_session": True}, {"idempotency_key": f"{key}:pay"}
                ),
                parse.invoice,
            )
        except CardDeclined as error:
            needs_holder = error.context.get("decline_code") in _NEEDS_HOLDER
            refusal = ChargeRefusal.ACTION_REQUIRED if needs_holder else ChargeRefusal.DECLINED
        except StripeRefused as error:
            # Paid meanwhile, or a debit is on its way: the invoice itself says which.
            refusal = ChargeRefusal.ACTION_REQUIRED if error.stripe_code in _NEEDS_HOLDER else None
        else:
            return Charged(paid, None)
        stands = await ask(
            "get_invoice", lambda: v1.invoices.retrieve_async(stripe_invoice_id), parse.invoice
        )
        return Charged(stands, refusal if stands.status == "open" else None)

    async def void(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        return await self._connection.ask(
            "void_invoice",
            lambda: self._connection.v1.invoices.void_invoice_async(
                stripe_invoice_id, {}, {"idempotency_key": f"{key}:void"}
            ),
            parse.invoice,
        )
