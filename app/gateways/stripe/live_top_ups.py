"""Selling credit at Stripe itself, through the official SDK."""

from __future__ import annotations

from app.gateways.stripe import billed_amount, parse
from app.gateways.stripe.billed_amount import BilledAmount
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import CardDeclined, StripeRefused
from app.gateways.stripe.gateway import StripeInvoice
from app.gateways.stripe.top_ups import BILLING_TOP_UP, Charged, ChargeRefusal, TopUpOrder
from app.infra.db.unit_of_work import refuse_inside_unit

_NEEDS_HOLDER = frozenset({"invoice_payment_intent_requires_action", "authentication_required"})


class LiveTopUps:
    """The gateway over HTTP. Each of its calls has a key of its own under the order's."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def issue(self, order: TopUpOrder, *, key: str) -> StripeInvoice:
        refuse_inside_unit()
        billed = BilledAmount(
            customer_id=order.customer_id,
            amount=order.amount,
            currency=order.currency,
            description=order.description,
            metadata={BILLING_TOP_UP: order.top_up},
            auto_advance=False,
            payment_method_id=order.payment_method_id,
            days_until_due=1 if order.payment_method_id is None else None,
            # Credit is sold for what it is worth, whatever coupon the customer has.
            is_discountable=False,
        )
        return await billed_amount.bill(self._connection, billed, key=key)

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
        return await billed_amount.void(self._connection, stripe_invoice_id, key=key)
