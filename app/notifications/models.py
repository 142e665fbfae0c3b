"""A row for each notice: an organization's, and a person's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import new_id
from app.notifications.domain import NoticeState

_STATES = ", ".join(f"'{state.value}'" for state in NoticeState)


class _Notice:
    """What both tables write down; never what the mail says, which may hold a token."""

    cause: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(default=NoticeState.PENDING.value)
    recipient: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class Notice(_Notice, TenantTable):
    """Something an organization's people were told about it."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("organization_id", "cause"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
    )


class PersonalNotice(_Notice, PlatformTable):
    """Something a person was told about their account. Platform table: people have no tenant."""

    __tablename__ = "personal_notices"
    __table_args__ = (CheckConstraint(f"state in ({_STATES})", name="state_is_known"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    cause: Mapped[str] = mapped_column(unique=True)
