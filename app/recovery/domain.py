"""A case of missing payment, and what is due in it at which time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    FIRST_PAYMENT_FAILED = "first_payment_failed"
    """Nothing has been paid yet, so nothing was granted that could go on for a while."""


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


class TimeOf(StrEnum):
    """Whose clock an instant is read from; with Stripe's test clocks they differ by months."""

    STRIPE = "stripe"
    SERVICE = "service"


_BY_STRIPE = frozenset({StepKind.PAYMENT_FAILED, StepKind.GRACE_STARTED})
_FAILURES = frozenset({StepKind.PAYMENT_FAILED, StepKind.ACTION_REQUIRED})

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
    subscription_id: UUID | None
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

    @property
    def clock(self) -> TimeOf:
        """Whose time `happened_at` is; `recorded_at` is always the service's."""
        return TimeOf.STRIPE if self.kind in _BY_STRIPE else TimeOf.SERVICE


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to an organization's payments, the newest first."""

    organization_id: OrganizationId
    cases: tuple[Case, ...]
    steps: tuple[Step, ...]
    unpaid_from_the_start: frozenset[UUID] = frozenset()
    """Subscriptions for which nothing has been paid yet."""

    @property
    def stands(self) -> Standstill:
        found = {case.stands for case in self.cases}
        if any(
            step.kind in _FAILURES and step.subscription_id in self.unpaid_from_the_start
            for step in self.steps
        ):
            found.add(Standstill.FIRST_PAYMENT_FAILED)
        order = (Standstill.LAPSED, Standstill.GRACE, Standstill.FIRST_PAYMENT_FAILED)
        return next((one for one in order if one in found), Standstill.CLEAR)


def with_what_is_owed(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, newest first, each with the invoice and the amount that it is about.

    Only an attempt says so itself. The others follow from one: from the last before them, or, for
    what is noted before the attempt that began it is heard of, from the next.
    """

    def about(place: int, step: Step) -> Step:
        if step.amount is not None:
            return step
        theirs = [
            (other, failure)
            for other, failure in enumerate(steps)
            if failure.kind in _FAILURES
            and failure.amount is not None
            and failure.subscription_id == step.subscription_id
            and step.stripe_invoice_id in (None, failure.stripe_invoice_id)
        ]
        before = [failure for other, failure in theirs if other > place]
        after = [failure for other, failure in theirs if other < place]
        found = before[0] if before else after[-1] if after else None
        if found is None:
            return step
        return replace(
            step,
            stripe_invoice_id=found.stripe_invoice_id,
            amount=found.amount,
            currency=found.currency,
        )

    return tuple(about(place, step) for place, step in enumerate(steps))


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
