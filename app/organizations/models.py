"""Organizations, their people, their invitations and their past quota windows."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, synonym

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId, UserId, new_id
from app.kernel.periods import Period
from app.organizations import domain
from app.organizations.domain import Role, limits_from_json, limits_to_json

_ROLES = ", ".join(f"'{role.value}'" for role in Role)


class Organization(PlatformTable):
    """A tenant, with the snapshot of what its plan grants. Platform table: it is the tenant."""

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("window_start < window_end", name="window_is_forward"),
        CheckConstraint(
            "(window_start is null) = (window_end is null)", name="window_is_whole_or_absent"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    plan: Mapped[str]
    catalog_version: Mapped[UUID | None]
    limits: Mapped[dict[str, Any]]
    features: Mapped[list[str]]
    seat_limit: Mapped[int | None]
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    draws_on_credit_since: Mapped[datetime | None]
    is_suspended: Mapped[bool] = mapped_column(default=False)
    is_disputed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    @property
    def window(self) -> Period | None:
        if self.window_start is None or self.window_end is None:
            return None
        return Period(self.window_start, self.window_end)

    @property
    def entitlements(self) -> Entitlements:
        return Entitlements(
            plan=self.plan,
            catalog_version=self.catalog_version,
            limits=limits_from_json(self.limits),
            features=frozenset(self.features),
            seat_limit=self.seat_limit,
            window=self.window,
            draws_on_credit=self.draws_on_credit_since is not None,
        )

    def grant(self, granted: Entitlements, at: datetime) -> None:
        """Replace what the plan grants; credit is drawn on since its first plan in a row did."""
        self.plan = granted.plan
        self.catalog_version = granted.catalog_version
        self.limits = limits_to_json(granted.limits)
        self.features = sorted(granted.features)
        self.seat_limit = granted.seat_limit
        self.window_start = granted.window.start if granted.window else None
        self.window_end = granted.window.end if granted.window else None
        if not granted.draws_on_credit:
            self.draws_on_credit_since = None
        elif self.draws_on_credit_since is None:
            self.draws_on_credit_since = at

    def to_domain(self) -> domain.Organization:
        return domain.Organization(
            id=OrganizationId(self.id),
            name=self.name,
            slug=self.slug,
            entitlements=self.entitlements,
            stripe_customer_id=self.stripe_customer_id,
            draws_on_credit_since=self.draws_on_credit_since,
            is_suspended=self.is_suspended,
            is_disputed=self.is_disputed,
            created_at=self.created_at,
        )


class Membership(TenantTable):
    """Someone's role in an organization; the person is the second half of its key."""

    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint(f"role in ({_ROLES})", name="role_is_known"),
        Index(None, "user_id"),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id"), primary_key=True, sort_order=-20
    )
    id: Mapped[UUID] = mapped_column("user_id", primary_key=True, sort_order=-19)
    user_id: Mapped[UUID] = synonym("id")
    role: Mapped[str]
    joined_at: Mapped[datetime]

    def to_domain(self) -> domain.Membership:
        return domain.Membership(
            organization_id=OrganizationId(self.organization_id),
            user_id=UserId(self.user_id),
            role=Role(self.role),
            joined_at=self.joined_at,
        )


class Invite(TenantTable):
    """An invitation by e-mail; its token is mailed and stored only as a keyed hash."""

    __tablename__ = "invites"
    __table_args__ = (
        CheckConstraint(f"role in ({_ROLES})", name="role_is_known"),
        Index(
            "uq_invites_open",
            "organization_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at is null"),
        ),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id"), primary_key=True, sort_order=-20
    )
    email: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[str | None]
    invited_by: Mapped[UUID]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]

    def to_domain(self) -> domain.Invite:
        return domain.Invite(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            email=self.email,
            role=Role(self.role),
            invited_by=UserId(self.invited_by),
            created_at=self.created_at,
            expires_at=self.expires_at,
            accepted_at=self.accepted_at,
        )


class QuotaWindow(TenantTable):
    """A quota window that is over, so that late events find the window they belong to."""

    __tablename__ = "quota_windows"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="window_is_forward"),
        Index(None, "organization_id", "starts_at", unique=True),
    )

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id"), primary_key=True, sort_order=-20
    )
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    plan: Mapped[str]
