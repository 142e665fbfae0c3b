"""One amount billed by an invoice of Stripe's that says only that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.gateways.stripe import parse
from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.gateway import StripeInvoice

if TYPE_CHECKING:
    from stripe.params import InvoiceCreateParams, InvoiceItemCreateParams


@dataclass(frozen=True, slots=True)
class BilledAmount:
    """What the invoice says, and how it is paid. *metadata* names what of ours it pays."""

    customer_id: str
    amount: int
    currency: str
    description: str
    metadata: dict[str, str]
    auto_advance: bool
    """Whether Stripe tries by itself to be paid."""
    payment_method_id: str | None
    days_until_due: int | None
    """Set, the customer is sent a page to pay on; else the saved way to pay is charged."""
    is_discountable: bool = True


async def bill(connection: StripeConnection, billed: BilledAmount, *, key: str) -> StripeInvoice:
    """Make, fill and finalize it. Each call has a key of its own under *key*."""
    parameters: InvoiceCreateParams = {
        "customer": billed.customer_id,
        "currency": billed.currency,
        "collection_method": "charge_automatically",
        "auto_advance": billed.auto_advance,
        "pending_invoice_items_behavior": "exclude",
        "description": billed.description,
        "metadata": billed.metadata,
    }
    if billed.payment_method_id is not None:
        parameters["default_payment_method"] = billed.payment_method_id
    if billed.days_until_due is not None:
        parameters["collection_method"] = "send_invoice"
        parameters["days_until_due"] = billed.days_until_due
    v1, ask = connection.v1, connection.ask
    draft = await ask(
        "create_invoice",
        lambda: v1.invoices.create_async(parameters, {"idempotency_key": f"{key}:invoice"}),
        parse.invoice,
    )
    if draft.id is None:
        raise LookupError("Stripe made an invoice without an id")
    made = draft.id
    item: InvoiceItemCreateParams = {
        "customer": billed.customer_id,
        "invoice": made,
        "amount": billed.amount,
        "currency": billed.currency,
        "description": billed.description,
    }
    if not billed.is_discountable:
        item["discountable"] = False
    await ask(
        "create_invoice_item",
        lambda: v1.invoice_items.create_async(item, {"idempotency_key": f"{key}:item"}),
        lambda found: found["id"],
    )
    return await ask(
        "finalize_invoice",
        lambda: v1.invoices.finalize_invoice_async(
            made, {"auto_advance": billed.auto_advance}, {"idempotency_key": f"{key}:finalize"}
        ),
        parse.invoice,
    )


async def void(connection: StripeConnection, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
    """Let nobody pay it any more."""
    return await connection.ask(
        "void_invoice",
        lambda: connection.v1.invoices.void_invoice_async(
            stripe_invoice_id, {}, {"idempotency_key": f"{key}:void"}
        ),
        parse.invoice,
    )
