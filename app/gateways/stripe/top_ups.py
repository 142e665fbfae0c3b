"""Selling prepaid credit: an invoice of Stripe's over one amount, paid at once or on its page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.gateways.stripe.gateway import StripeInvoice

BILLING_TOP_UP = "billing_top_up"
"""In the metadata of Stripe's invoice: which top-up it is the payment of."""


@dataclass(frozen=True, slots=True)
class TopUpOrder:
    """How much of whom, and for which top-up of ours."""

    customer_id: str
    amount: int
    currency: str
    description: str
    top_up: str
    payment_method_id: str | None
    """What to charge; without one the customer pays on the invoice's page."""


class ChargeRefusal(StrEnum):
    """Why a charge did not go through."""

    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"
    """The holder must confirm it with their bank (3-D Secure)."""


@dataclass(frozen=True, slots=True)
class Charged:
    """The invoice after a charge was asked for, and why it is not paid where Stripe said why."""

    invoice: StripeInvoice
    refusal: ChargeRefusal | None


class TopUpGateway(Protocol):
    """Stripe, as far as selling credit needs it; errors as with `StripeGateway`."""

    async def issue(self, order: TopUpOrder, *, key: str) -> StripeInvoice:
        """Make, fill and finalize the invoice; under the same *key* it is the same one.

        Stripe tries nothing by itself: it is paid by `charge`, or by whoever opens its page.
        """
        ...

    async def charge(self, stripe_invoice_id: str, *, key: str) -> Charged:
        """Take an issued invoice from its saved way to pay; what is paid is not paid again."""
        ...

    async def void(self, stripe_invoice_id: str, *, key: str) -> StripeInvoice:
        """Void it, so that nobody pays it any more. Raises `StripeRefused` once it is paid."""
        ...
