"""What Stripe answered, and what the mirror made of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.gateways.stripe.gateway import StripeInvoice, StripeSubscription


class Taken(StrEnum):
    """What became of a report."""

    APPLIED = "applied"
    STALE = "stale"
    """A later question was answered before; what this one carried is in that answer."""
    UNKNOWN_PRICE = "unknown_price"


@dataclass(frozen=True, slots=True)
class Report:
    """What Stripe answered to the question with this ticket."""

    subscription: StripeSubscription
    ticket: int
    invoice: StripeInvoice | None = None
    failed_at: datetime | None = None
    """When a payment of the invoice failed, if that is the news."""
    asks_action: bool = False
    """The payment failed because the bank asks the customer to confirm it."""
    trial_ends: bool = False
    """Stripe says that the trial is about to end."""
