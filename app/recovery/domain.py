"""A case of missing payment, and what is due in it at which time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.subscriptions.domain import ENDED, GRANTING, UNPAID_PAUSES, Standing

WARNING = timedelta(days=3)
"""How long before the end of the grace the last warning goes out."""


class Standstill(StrEnum):
    """How an organization stands."""

    CLEAR = "clear"
    GRACE = "grace"
    """A payment is missing and access goes on for a while."""
    LAPSED = "lapsed"
    """A payment is missing and access has been taken back."""


class Outcome(StrEnum):
    """How a case ended."""

    RECOVERED = "recovered"
    GIVEN_UP = "given_up"
    """Stripe has stopped trying, and the subscription with it."""
    CANCELED = "canceled"
    """The customer went before it was settled."""


class StepKind(StrEnum):
    """What happens in a case."""

    PAYMENT_FAILED = "payment_failed"
    ACTION_REQUIRED = "action_required"
    GRACE_STARTED = "grace_started"
    GRACE_ENDING = "grace_ending"
    GRACE_ENDED = "grace_ended"
    PAYMENT_RECEIVED = "payment_received"
    CLOSED = "closed"


NOTICES: dict[StepKind, str] = {
    StepKind.PAYMENT_FAILED: "payment_failed",
    StepKind.ACTION_REQUIRED: "payment_action_required",
    StepKind.GRACE_ENDING: "grace_ending",
    StepKind.GRACE_ENDED: "grace_ended",
    StepKind.PAYMENT_RECEIVED: "payment_recovered",
}
"""The notice that goes with a step; the others are told to nobody."""


@dataclass(frozen=True, slots=True)
class Case:
    """A subscription whose payment is missing, from the first failure to the end of it."""

    id: UUID
    subscription_id: UUID
    first_failed_at: datetime
    grace_until: datetime
    warned_at: datetime | None
    lapsed_at: datetime | None
    closed_at: datetime | None
    outcome: Outcome | None

    @property
    def stands(self) -> Standstill:
        if self.closed_at is not None:
            return Standstill.CLEAR
        return Standstill.GRACE if self.lapsed_at is None else Standstill.LAPSED


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, and when."""

    id: UUID
    subscription_id: UUID
    kind: StepKind
    happened_at: datetime
    recorded_at: datetime
    stripe_invoice_id: str | None
    attempt: int | None
    amount: int | None
    currency: str | None
    next_attempt_at: datetime | None
    pay_url: str | None
    detail: str | None

    @property
    def notice(self) -> str | None:
        return NOTICES.get(self.kind)


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to an organization's payments, the newest first."""

    organization_id: OrganizationId
    cases: tuple[Case, ...]
    steps: tuple[Step, ...]

    @property
    def stands(self) -> Standstill:
        open_ones = {case.stands for case in self.cases}
        return next(
            (one for one in (Standstill.LAPSED, Standstill.GRACE) if one in open_ones),
            Standstill.CLEAR,
        )


def warns_at(first_failed_at: datetime, grace_until: datetime) -> datetime | None:
    """When the last warning is due; None where the grace is too short to need another."""
    due_at = grace_until - WARNING
    return due_at if due_at > first_failed_at else None


def has_lapsed(standing: Standing, now: datetime) -> bool:
    """Whether a missing payment has taken the access: by the grace, or by Stripe giving up."""
    if standing.status == "past_due":
        return standing.grace_until is not None and now >= standing.grace_until
    return standing.status == "unpaid" or outcome_of(standing) is Outcome.GIVEN_UP


def outcome_of(standing: Standing) -> Outcome:
    """How the case of a subscription ended that owes nothing now."""
    if standing.status in ENDED:
        by_failure = standing.end_reason == "payment_failed"
        return Outcome.GIVEN_UP if by_failure else Outcome.CANCELED
    if standing.status in GRANTING:
        return Outcome.RECOVERED
    return Outcome.GIVEN_UP if standing.pause_reason in UNPAID_PAUSES else Outcome.CANCELED
