"""The table of people."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable
from app.kernel.ids import UserId, new_id
from app.users.domain import Person


class User(PlatformTable):
    """A person. Platform table: people exist before, between and across organizations."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email = lower(email)", name="email_is_lower"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    is_operator: Mapped[bool] = mapped_column(default=False)
    email_verified_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    def to_domain(self) -> Person:
        return Person(
            id=UserId(self.id),
            email=self.email,
            name=self.name,
            is_operator=self.is_operator,
            is_suspended=self.suspended_at is not None,
            email_verified_at=self.email_verified_at,
            created_at=self.created_at,
            last_login_at=self.last_login_at,
        )
