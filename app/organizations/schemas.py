"""Organizations on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, SecretStr

from app.infra.http.schemas import InputModel, Instant, OutputModel, prefixed_id
from app.kernel.principal import Permission
from app.kernel.rates import plain
from app.organizations import domain
from app.organizations.domain import PERMISSIONS, Belonging, Invite, Member, Role, Seats
from app.users.schemas import Email, Name

if TYPE_CHECKING:
    from app.kernel.ids import UserId as UserIdOut

    OrganizationIdOut = UUID
    InviteIdOut = UUID
else:
    OrganizationIdOut = prefixed_id("org")
    UserIdOut = prefixed_id("usr")
    InviteIdOut = prefixed_id("ivt")


def _quantity(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain(value)
    return value


Quantity = Annotated[int | str, BeforeValidator(_quantity)]
"""A quantity of a metric: a whole number, or a decimal string where it is not whole."""


InvitableRole = Literal[Role.ADMIN, Role.BILLING, Role.MEMBER, Role.VIEWER]
"""Owners are not invited: an owner makes a member one, or transfers the organization."""


class OrganizationIn(InputModel):
    name: Name = Field(examples=["Acme Corp"])


class OrganizationPatch(InputModel):
    name: Name


class OrganizationSummaryOut(OutputModel):
    """An organization in a list of someone's organizations."""

    id: OrganizationIdOut
    name: str
    slug: str
    role: Role

    @classmethod
    def of(cls, belonging: Belonging) -> OrganizationSummaryOut:
        found = belonging.organization
        return cls(id=found.id, name=found.name, slug=found.slug, role=belonging.role)


class OrganizationUsageOut(OutputModel):
    """Use of the plan's debates in the current window; `null` remaining is unlimited."""

    debates_used: Quantity
    debates_held: Quantity
    debates_remaining: Quantity | None
    is_at_limit: bool
    window_start: Instant
    window_end: Instant


class SeatsOut(OutputModel):
    used: int
    limit: int | None


class OrganizationOut(OutputModel):
    """An organization with what its plan grants and what is left of it."""

    id: OrganizationIdOut
    name: str
    slug: str
    tier: str
    role: Role | None
    limits: dict[str, Quantity | None] = Field(
        description="By metric; `null` is unlimited, `0` is none.",
        examples=[{"debates": 10}],
    )
    features: list[str]
    usage: OrganizationUsageOut
    seats: SeatsOut
    is_suspended: bool
    created_at: Instant

    @classmethod
    def of(cls, overview: domain.Overview, role: Role | None) -> OrganizationOut:
        found = overview.organization
        granted = found.entitlements
        return cls(
            id=found.id,
            name=found.name,
            slug=found.slug,
            tier=granted.plan,
            role=role,
            limits={metric: item.limit for metric, item in granted.limits.items()},
            features=sorted(granted.features),
            usage=OrganizationUsageOut(
                debates_used=overview.used,
                debates_held=overview.held,
                debates_remaining=overview.remaining,
                is_at_limit=overview.is_at_limit,
                window_start=overview.window.start,
                window_end=overview.window.end,
            ),
            seats=_seats(overview.seats),
            is_suspended=found.is_suspended,
            created_at=found.created_at,
        )


def _seats(seats: Seats) -> SeatsOut:
    return SeatsOut(used=seats.used, limit=seats.limit)


class MemberOut(OutputModel):
    """Someone in an organization."""

    user_id: UserIdOut
    email: str
    name: str
    role: Role
    joined_at: Instant

    @classmethod
    def of(cls, member: Member) -> MemberOut:
        return cls(
            user_id=member.user_id,
            email=member.email,
            name=member.name,
            role=member.role,
            joined_at=member.joined_at,
        )


class MemberPatch(InputModel):
    role: Role


class TransferIn(InputModel):
    user_id: UserIdOut = Field(description="The member who becomes the owner.")


class InviteIn(InputModel):
    email: Email = Field(examples=["grace@example.com"])
    role: InvitableRole = Role.MEMBER


class InviteOut(OutputModel):
    """An invitation; its link goes by mail only."""

    id: InviteIdOut
    email: str
    role: Role
    invited_by: UserIdOut
    created_at: Instant
    expires_at: Instant

    @classmethod
    def of(cls, invite: Invite) -> InviteOut:
        return cls(
            id=invite.id,
            email=invite.email,
            role=invite.role,
            invited_by=invite.invited_by,
            created_at=invite.created_at,
            expires_at=invite.expires_at,
        )


class AcceptIn(InputModel):
    token: Annotated[SecretStr, Field(min_length=1, max_length=200)]


class AcceptedOut(OutputModel):
    """Where you belong now, and as what."""

    organization: OrganizationSummaryOut
    role: Role

    @classmethod
    def of(cls, belonging: Belonging) -> AcceptedOut:
        return cls(organization=OrganizationSummaryOut.of(belonging), role=belonging.role)


class RoleOut(OutputModel):
    """A role, and everything it may do."""

    role: Role
    permissions: list[Permission]

    @classmethod
    def of(cls, role: Role) -> RoleOut:
        return cls(role=role, permissions=sorted(PERMISSIONS[role]))
