"""A row for each notice: an organization's, and those of people and operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import NoticeKind, NoticeState, Told

_STATES = ", ".join(f"'{state.value}'" for state in NoticeState)
_WAITS = text("state = 'pending'")


class _Notice:
    """What both tables write down; never what the mail says, which may hold a token."""

    cause: Mapped[str]
    kind: Mapped[str]
    channel: Mapped[str] = mapped_column(server_default="mail")
    person_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    state: Mapped[str] = mapped_column(default=NoticeState.PENDING.value)
    recipient: Mapped[str | None]
    subject: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None]
    next_attempt_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    def told(self, organization_id: OrganizationId | None, notice_id: UUID) -> Told:
        return Told(
            notice_id=notice_id,
            kind=NoticeKind(self.kind),
            cause=self.cause,
            facts=self.facts,
            organization_id=organization_id,
            person_id=self.person_id,
            attempt=self.attempts,
        )


class Notice(_Notice, TenantTable):
    """Something an organization's people were told about it."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("organization_id", "cause"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        Index("ix_notices_waiting", "next_attempt_at", postgresql_where=_WAITS),
    )


class PersonalNotice(_Notice, PlatformTable):
    """Something a person was told about their account, or an operator about the platform."""

    __tablename__ = "personal_notices"
    __table_args__ = (
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        Index("ix_personal_notices_waiting", "next_attempt_at", postgresql_where=_WAITS),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    cause: Mapped[str] = mapped_column(unique=True)
