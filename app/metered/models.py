"""Who is metered, which events were told together, and what Stripe was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import TenantTable
from app.infra.db.types import Exact
from app.kernel.ids import OrganizationId
from app.metered import domain
from app.metered.domain import BatchState

_STATES = ", ".join(f"'{state.value}'" for state in BatchState)


class MeteredEnrolment(TenantTable):
    """A stretch of time in which an organization's use is billed by Stripe."""

    __tablename__ = "metered_enrolments"
    __table_args__ = (
        Index(
            "uq_metered_enrolments_open",
            "organization_id",
            unique=True,
            postgresql_where=text("until is null"),
        ),
        CheckConstraint("since <= until", name="stretch_is_forward"),
    )

    stripe_customer_id: Mapped[str]
    prices: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    until: Mapped[datetime | None]

    def to_domain(self) -> domain.Enrolment:
        return domain.Enrolment(
            organization_id=OrganizationId(self.organization_id),
            stripe_customer_id=self.stripe_customer_id,
            prices=dict(self.prices),
            since=self.since,
            until=self.until,
        )


class MeteredPortion(TenantTable):
    """Events that were put into batches together; each event is in one portion, once."""

    __tablename__ = "metered_portions"
    __table_args__ = (Index(None, "organization_id", "hour"),)

    hour: Mapped[datetime]
    event_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    collected_at: Mapped[datetime]


class MeteredBatch(TenantTable):
    """A quantity that Stripe is told of, or a correction of one."""

    __tablename__ = "metered_batches"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "portion_id"],
            ["metered_portions.organization_id", "metered_portions.id"],
        ),
        Index(
            "uq_metered_batches_correction",
            "organization_id",
            "corrects_event_id",
            "metric",
            unique=True,
            postgresql_where=text("replaces is null"),
        ),
        Index("uq_metered_batches_replaces", "organization_id", "replaces", unique=True),
        Index(None, "organization_id", "occurred_at"),
        Index(
            "ix_metered_batches_pending",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "id"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        CheckConstraint("quantity <> 0", name="quantity_is_something"),
    )

    portion_id: Mapped[UUID | None]
    corrects_event_id: Mapped[UUID | None]
    replaces: Mapped[UUID | None]
    metric: Mapped[str]
    stripe_price_id: Mapped[str]
    stripe_customer_id: Mapped[str]
    quantity: Mapped[Exact]
    occurred_at: Mapped[datetime]
    told_as: Mapped[datetime | None]
    state: Mapped[str]
    attempts: Mapped[int]
    first_attempt_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    failure: Mapped[str | None]

    def to_domain(self) -> domain.Batch:
        return domain.Batch(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            metric=self.metric,
            stripe_price_id=self.stripe_price_id,
            stripe_customer_id=self.stripe_customer_id,
            quantity=self.quantity,
            occurred_at=self.occurred_at,
            told_as=self.told_as,
            state=self.state,
            attempts=self.attempts,
            first_attempt_at=self.first_attempt_at,
            sent_at=self.sent_at,
            failure=self.failure,
            is_correction=self.corrects_event_id is not None,
        )
