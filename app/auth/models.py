"""Sessions, refresh tokens, revocations, one-time tokens, API keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.auth import domain
from app.auth.domain import Device, SessionKind
from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import OrganizationId, UserId, new_id
from app.kernel.principal import Permission


class Session(PlatformTable):
    """A device that is signed in. Platform table: it is a person's, in one organization or none."""

    __tablename__ = "auth_sessions"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID]
    organization_id: Mapped[UUID | None]
    kind: Mapped[str]
    secret_hash: Mapped[str | None] = mapped_column(unique=True)
    user_agent: Mapped[str]
    address: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]

    def is_live(self, at: datetime) -> bool:
        return self.revoked_at is None and at < self.expires_at

    def to_domain(self) -> domain.Session:
        return domain.Session(
            id=self.id,
            user_id=UserId(self.user_id),
            organization_id=OrganizationId(self.organization_id) if self.organization_id else None,
            kind=SessionKind(self.kind),
            device=Device(self.user_agent, self.address),
            created_at=self.created_at,
            last_used_at=self.last_used_at,
            expires_at=self.expires_at,
        )


class RefreshToken(PlatformTable):
    """One refresh token of a session's family. Platform table: it is presented without a tenant."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "session_id"), Index(None, "expires_at"))

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("auth_sessions.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Revocation(PlatformTable):
    """What ended before its time: an access token by `jti`, or all of a person's since an instant.

    Platform table: it is read while a caller is being verified.
    """

    __tablename__ = "revocations"
    __table_args__ = (Index(None, "expires_at"),)

    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    since: Mapped[datetime]
    expires_at: Mapped[datetime]
    reason: Mapped[str | None]


class OneTimeToken(PlatformTable):
    """A link in a mail. Platform table: it is presented by someone who is not signed in."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (Index(None, "expires_at"),)

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class ApiKey(TenantTable):
    """A key by which programs call."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("organization_id", "key_hash"),
        Index(None, "user_id"),
    )

    user_id: Mapped[UUID]
    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    rotated_at: Mapped[datetime | None]

    def is_live(self, at: datetime) -> bool:
        return self.expires_at is None or at < self.expires_at

    def to_domain(self) -> domain.ApiKey:
        return domain.ApiKey(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            user_id=UserId(self.user_id),
            name=self.name,
            prefix=self.prefix,
            scopes=frozenset(Permission(scope) for scope in self.scopes),
            created_at=self.created_at,
            expires_at=self.expires_at,
            last_used_at=self.last_used_at,
            rotated_at=self.rotated_at,
        )
