"""Recovery on the wire."""

from __future__ import annotations

from app.infra.http.schemas import Instant, OutputModel, prefixed_id
from app.recovery.domain import Case, Outcome, Standstill, Step, StepKind, Timeline, TimeOf


class CaseOut(OutputModel):
    """A payment that was missing: since when, until when access went on, how it ended."""

    id: prefixed_id("rec")  # type: ignore[valid-type]
    state: Standstill
    first_failed_at: Instant
    grace_until: Instant
    warned_at: Instant | None
    lapsed_at: Instant | None
    closed_at: Instant | None
    outcome: Outcome | None

    @classmethod
    def from_domain(cls, case: Case) -> CaseOut:
        return cls(
            id=case.id,
            state=case.stands,
            first_failed_at=case.first_failed_at,
            grace_until=case.grace_until,
            warned_at=case.warned_at,
            lapsed_at=case.lapsed_at,
            closed_at=case.closed_at,
            outcome=case.outcome,
        )


class RecoveryStepOut(OutputModel):
    """What happened, when, and when it was heard of; `notice` is what was told to people.

    Steps are in the order of `recorded_at`, the service's time. `happened_at` is read from
    `clock`: a failed attempt has Stripe's time, which a test clock may move. Where this service's
    own invoice is collected, `detail` names it, and no grace begins.
    """

    kind: StepKind
    happened_at: Instant
    clock: TimeOf
    recorded_at: Instant
    stripe_invoice_id: str | None
    attempt: int | None
    amount: int | None
    currency: str | None
    next_attempt_at: Instant | None
    pay_url: str | None
    detail: str | None
    notice: str | None


class RecoveryOut(OutputModel):
    """How an organization stands with its payments, and how it came to that, the newest first."""

    organization_id: prefixed_id("org")  # type: ignore[valid-type]
    state: Standstill
    cases: list[CaseOut]
    timeline: list[RecoveryStepOut]

    @classmethod
    def from_domain(cls, timeline: Timeline) -> RecoveryOut:
        return cls(
            organization_id=timeline.organization_id,
            state=timeline.stands,
            cases=[CaseOut.from_domain(case) for case in timeline.cases],
            timeline=[_step(step) for step in timeline.steps],
        )


def _step(step: Step) -> RecoveryStepOut:
    return RecoveryStepOut.model_validate(step)
