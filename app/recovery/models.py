"""Cases of missing payments, and what happened in them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped

from app.infra.db.base import TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.recovery import domain
from app.recovery.domain import Outcome, StepKind

_OUTCOMES = ", ".join(f"'{one.value}'" for one in Outcome)


class RecoveryCase(TenantTable):
    """A subscription whose payment is missing. There is one open case of each at most."""

    __tablename__ = "recovery_cases"
    __table_args__ = (
        Index(
            "uq_recovery_cases_open",
            "organization_id",
            "subscription_id",
            unique=True,
            postgresql_where=text("closed_at is null"),
        ),
        Index(
            "ix_recovery_cases_running",
            "grace_until",
            postgresql_where=text("closed_at is null and lapsed_at is null"),
        ),
        CheckConstraint("first_failed_at <= grace_until", name="grace_is_forward"),
        CheckConstraint(f"outcome in ({_OUTCOMES})", name="outcome_is_known"),
        CheckConstraint("(closed_at is null) = (outcome is null)", name="closes_with_an_outcome"),
    )

    subscription_id: Mapped[UUID]
    first_failed_at: Mapped[datetime]
    grace_until: Mapped[datetime]
    warned_at: Mapped[datetime | None]
    lapsed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None]

    def to_domain(self) -> domain.Case:
        return domain.Case(
            id=self.id,
            subscription_id=self.subscription_id,
            first_failed_at=self.first_failed_at,
            grace_until=self.grace_until,
            warned_at=self.warned_at,
            lapsed_at=self.lapsed_at,
            closed_at=self.closed_at,
            outcome=Outcome(self.outcome) if self.outcome else None,
        )


class RecoveryStep(TenantTable):
    """One thing that happened; written once for its cause and never changed."""

    __tablename__ = "recovery_steps"
    __table_args__ = (Index(None, "organization_id", "cause", unique=True),)

    subscription_id: Mapped[UUID | None]
    """None where an invoice of our own is collected, which belongs to no subscription."""
    kind: Mapped[str]
    cause: Mapped[str]
    happened_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    stripe_invoice_id: Mapped[str | None]
    attempt: Mapped[int | None]
    amount: Mapped[MinorUnits | None]
    currency: Mapped[CurrencyCode | None]
    next_attempt_at: Mapped[datetime | None]
    pay_url: Mapped[str | None]
    detail: Mapped[str | None]

    def to_domain(self) -> domain.Step:
        return domain.Step(
            id=self.id,
            subscription_id=self.subscription_id,
            kind=StepKind(self.kind),
            happened_at=self.happened_at,
            recorded_at=self.recorded_at,
            stripe_invoice_id=self.stripe_invoice_id,
            attempt=self.attempt,
            amount=self.amount,
            currency=self.currency,
            next_attempt_at=self.next_attempt_at,
            pay_url=self.pay_url,
            detail=self.detail,
        )
