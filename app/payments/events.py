"""What happened to money that had come in."""

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class RefundMade(Fact):
    """Money went back to the customer."""

    organization_id: UUID
    refund_id: UUID
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundFailed(Fact):
    """Money that was to go back did not arrive; it is with us again."""

    organization_id: UUID
    refund_id: UUID
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class DisputeOpened(Fact):
    """A customer's bank asks for money back, or only asks what it was for (an inquiry)."""

    organization_id: UUID
    dispute_id: UUID
    amount: int
    currency: str
    reason: str
    is_inquiry: bool


@dataclass(frozen=True, slots=True)
class DisputeClosed(Fact):
    """A dispute or an inquiry ended; *status* is Stripe's word for how."""

    organization_id: UUID
    dispute_id: UUID
    status: str
