"""The inbox."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable
from app.kernel.ids import new_id
from app.webhooks.domain import EventState, PendingEvent

_STATES = ", ".join(f"'{state.value}'" for state in EventState)


class StripeEvent(PlatformTable):
    """An event that Stripe sent, as it was signed. It has no tenant until it is handled."""

    __tablename__ = "stripe_events"
    __table_args__ = (
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        CheckConstraint("(state = 'handled') = (handled_at is not null)", name="handled_has_time"),
        Index(
            "ix_stripe_events_unhandled",
            "received_at",
            postgresql_where=text("state = 'pending'"),
        ),
        # An event is stored as it came: packing 4 kB costs as much as the rest of its insert.
        {"postgresql_with": {"toast_tuple_target": 8160}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    event_id: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    api_version: Mapped[str | None]
    livemode: Mapped[bool]
    is_thin: Mapped[bool]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    # The signed text itself: jsonb would cost a parse at receipt and lose what was signed.
    payload: Mapped[str | None]
    state: Mapped[str]
    note: Mapped[str | None]
    attempts: Mapped[int]
    handled_at: Mapped[datetime | None]
    last_error: Mapped[str | None]

    def pending(self) -> PendingEvent:
        return PendingEvent(
            event_id=self.event_id,
            type=self.type,
            object_id=self.object_id,
            livemode=self.livemode,
            occurred_at=self.occurred_at,
            attempts=self.attempts,
            payload=self.payload,
        )
