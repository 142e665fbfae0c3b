"""What Stripe has to say about the past: events that did not arrive, and all of a customer's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.gateways.stripe.gateway import StripeInvoice, StripeSubscription


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events as Stripe has them, the newest first."""

    payloads: tuple[str, ...]
    next_after: str | None
    """The event to go on after; None at the end."""


class HistoryGateway(Protocol):
    """What reconciliation asks of Stripe; errors as with `StripeGateway`."""

    async def list_undelivered(self, since: datetime, *, after: str | None) -> EventPage:
        """A page of the events since *since* that some endpoint has not acknowledged."""
        ...

    async def list_subscriptions(self, customer_id: str) -> tuple[StripeSubscription, ...]:
        """Every subscription of a customer, ended ones too."""
        ...

    async def list_invoices(self, customer_id: str, since: datetime) -> tuple[StripeInvoice, ...]:
        """A customer's invoices that were made since *since*."""
        ...
