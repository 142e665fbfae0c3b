"""Collecting what an invoice of our own asks for, by an invoice of Stripe's that says only that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.gateways.stripe.gateway import StripeInvoice

BILLING_INVOICE = "billing_invoice"
"""In the metadata of Stripe's invoice: which invoice of ours it collects."""


@dataclass(frozen=True, slots=True)
class CollectionOrder:
    """How much of whom, and for which invoice of ours."""

    customer_id: str
    amount: int
    currency: str
    description: str
    invoice: str
    payment_method_id: str | None = None
    """What to charge; else what the customer has as the default for invoices."""
    days_until_due: int | None = None
    """Set, the customer is sent a page to pay on; else the saved way to pay is charged."""


class CollectionGateway(Protocol):
    """Stripe, as far as collecting needs it."""

    async def collect(self, order: CollectionOrder, *, key: str) -> StripeInvoice:
        """Make, fill and finalize an invoice; under the same *key* it is the same one."""
        ...

    async def stop(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        """Void it, so that nobody pays it any more."""
        ...
