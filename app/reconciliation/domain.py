"""How our copy may differ from the truth, and what a run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.gateways.stripe.gateway import StripeInvoice, StripeSubscription


class DifferenceKind(StrEnum):
    """What was found."""

    EVENT_UNDELIVERED = "event_undelivered"
    SUBSCRIPTION_MISSING = "subscription_missing"
    SUBSCRIPTION_STATUS = "subscription_status"
    SUBSCRIPTION_PRICE = "subscription_price"
    SUBSCRIPTION_PERIOD = "subscription_period"
    SUBSCRIPTION_END = "subscription_end"
    SUBSCRIPTION_NOT_AT_STRIPE = "subscription_not_at_stripe"
    PRICE_UNKNOWN = "price_unknown"
    INVOICE_MISSING = "invoice_missing"
    INVOICE_STATUS = "invoice_status"
    INVOICE_AMOUNTS = "invoice_amounts"
    CUSTOMER_MISSING = "customer_missing"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was not as it should be."""

    kind: DifferenceKind
    object_id: str
    organization_id: UUID | None
    ours: str | None
    theirs: str | None
    is_repaired: bool


@dataclass(frozen=True, slots=True)
class HeldSubscription:
    """What we hold of a subscription."""

    stripe_id: str
    status: str
    price_id: str
    period_start: datetime | None
    period_end: datetime | None
    cancel_at: datetime | None
    cancel_at_period_end: bool
    is_ended: bool


@dataclass(frozen=True, slots=True)
class HeldInvoice:
    """What we hold of an invoice."""

    stripe_id: str
    status: str
    amount_due: int
    amount_paid: int
    credited: int
    """By credit notes that are not void."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer at Stripe; an organization may have had several."""

    id: UUID
    organization_id: UUID
    stripe_id: str


@dataclass
class Findings:
    """What a run has looked at and found so far."""

    events: int = 0
    customers: int = 0
    subscriptions: int = 0
    invoices: int = 0
    differences: list[Difference] = field(default_factory=list)

    def note(
        self,
        kind: DifferenceKind,
        object_id: str,
        organization_id: UUID | None = None,
        *,
        ours: object = None,
        theirs: object = None,
        is_repaired: bool = True,
    ) -> None:
        self.differences.append(
            Difference(kind, object_id, organization_id, _said(ours), _said(theirs), is_repaired)
        )

    @property
    def by_kind(self) -> Mapping[str, int]:
        return dict(sorted(Counter(each.kind.value for each in self.differences).items()))


@dataclass(frozen=True, slots=True)
class Report:
    """What a run came to."""

    id: UUID
    started_at: datetime
    finished_at: datetime
    trigger: str
    events: int
    customers: int
    subscriptions: int
    invoices: int
    is_round_complete: bool
    """Whether the last customer was reached; if not, the next run goes on from here."""
    error: str | None
    by_kind: Mapping[str, int]
    differences: Sequence[Mapping[str, object]]


class EventInbox(Protocol):
    """Where events are kept until they are handled."""

    async def take_in(self, payload: str) -> bool:
        """Keep an event that Stripe itself told of; says whether it was news."""
        ...


def subscription_differences(
    ours: HeldSubscription | None, theirs: StripeSubscription
) -> list[tuple[DifferenceKind, object, object]]:
    """In what a copy differs from its original, and how."""
    if ours is None:
        return [(DifferenceKind.SUBSCRIPTION_MISSING, None, theirs.status)]
    found: list[tuple[DifferenceKind, object, object]] = []
    if ours.status != theirs.status:
        found.append((DifferenceKind.SUBSCRIPTION_STATUS, ours.status, theirs.status))
    prices = [item.price_id for item in theirs.items]
    if ours.price_id not in prices and not ours.is_ended:
        found.append((DifferenceKind.SUBSCRIPTION_PRICE, ours.price_id, ",".join(prices)))
    period = theirs.period
    if period is not None and ours.period_end != period.end:
        found.append((DifferenceKind.SUBSCRIPTION_PERIOD, ours.period_end, period.end))
    held = (ours.cancel_at_period_end, ours.cancel_at)
    if held != (theirs.cancel_at_period_end, theirs.cancel_at):
        found.append((DifferenceKind.SUBSCRIPTION_END, ours.cancel_at, theirs.cancel_at))
    return found


def invoice_difference(
    ours: HeldInvoice | None, theirs: StripeInvoice
) -> tuple[DifferenceKind, object, object] | None:
    if ours is None:
        return DifferenceKind.INVOICE_MISSING, None, theirs.status
    if ours.status != theirs.status:
        return DifferenceKind.INVOICE_STATUS, ours.status, theirs.status
    held = (ours.amount_due, ours.amount_paid, ours.credited)
    said = (theirs.amount_due, theirs.amount_paid, theirs.credited)
    return (DifferenceKind.INVOICE_AMOUNTS, held, said) if held != said else None


def _said(value: object) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)
