"""What a charge still has to give back, and what a dispute stands in the way of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.gateways.stripe.payments import StripeCharge, StripeDispute, StripeRefund
from app.kernel.ids import OrganizationId

REFUND_NAME = "refund_id"
"""Where a refund at Stripe carries our own id of it."""

STRIPE_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


class RefundStatus(StrEnum):
    """Stripe's statuses of a refund, and two of our own from before Stripe has one."""

    REQUESTED = "requested"
    """Asked for and not answered yet; it is asked for again until Stripe answers."""
    REFUSED = "refused"
    """Stripe said no; no money moved."""
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


GONE_BACK = frozenset({RefundStatus.PENDING, RefundStatus.REQUIRES_ACTION, RefundStatus.SUCCEEDED})
"""Money that has left, or is leaving. A status that Stripe invents is taken for one of these."""
CAME_TO_NOTHING = frozenset({RefundStatus.REFUSED, RefundStatus.FAILED, RefundStatus.CANCELED})

LOST = "lost"
"""How a dispute ended whose money is gone."""
OPEN_DISPUTES = frozenset(
    {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
)


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """All that Stripe answered about one charge, to the questions under this ticket."""

    ticket: int
    charge: StripeCharge
    refunds: tuple[StripeRefund, ...]
    disputes: tuple[StripeDispute, ...]
    stripe_invoice_id: str | None

    @property
    def customer_id(self) -> str | None:
        return self.charge.customer_id


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """What an operator wants back to a customer: of a charge, or of the one behind an invoice."""

    reason: str
    stripe_charge_id: str | None = None
    invoice_id: UUID | None = None
    amount: int | None = None
    """All that is left when it is not given."""
    refund_id: UUID | None = None
    """Whoever names the refund may ask again and gets the one that was made."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Money back, asked for here or at Stripe."""

    id: UUID
    organization_id: OrganizationId
    stripe_refund_id: str | None
    stripe_charge_id: str
    stripe_invoice_id: str | None
    amount: int
    currency: str
    status: str
    reason: str | None
    failure_reason: str | None
    requested_by: str | None
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute or an inquiry, and the charge it is about."""

    id: UUID
    organization_id: OrganizationId
    stripe_dispute_id: str
    stripe_charge_id: str
    stripe_invoice_id: str | None
    amount: int
    currency: str
    reason: str
    status: str
    is_charge_refundable: bool
    respond_by: datetime | None
    opened_at: datetime

    @property
    def is_open(self) -> bool:
        return is_open(self.status)

    @property
    def is_inquiry(self) -> bool:
        return is_inquiry(self.status)


def is_open(status: str) -> bool:
    return status in OPEN_DISPUTES


def is_inquiry(status: str) -> bool:
    """Whether the bank only asks; no money has moved, and none may ever."""
    return status.startswith("warning_")


def stands_in_the_way(status: str, *, is_charge_refundable: bool) -> bool:
    """Whether a dispute forbids refunds of its charge.

    While it is open, and for good when it is lost: the money has gone back already. An inquiry
    may be settled by a refund where Stripe says so.
    """
    if is_inquiry(status):
        return is_open(status) and not is_charge_refundable
    return is_open(status) or status == LOST


def went_back(status: str) -> bool:
    """Whether a refund of this status has taken, or is taking, money away."""
    return status not in CAME_TO_NOTHING and status != RefundStatus.REQUESTED


def refundable(amount: int, refunded_by_stripe: int, refunds: Iterable[tuple[str, int]]) -> int:
    """What of a charge may still go back, counting what was asked for and not answered.

    *refunds* are the statuses and amounts that are known here. Stripe's own figure counts where
    it is higher: a refund made in its dashboard may not have been heard of yet.
    """
    known = requested = 0
    for status, part in refunds:
        if status == RefundStatus.REQUESTED:
            requested += part
        elif went_back(status):
            known += part
    return max(amount - max(known, refunded_by_stripe) - requested, 0)
