"""Organizations, members, invites and windows in and out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, UserId, new_id
from app.kernel.pages import Page, PageRequest
from app.kernel.periods import Period
from app.organizations.domain import Role
from app.organizations.errors import InviteNotFound, MemberNotFound, OrganizationNotFound
from app.organizations.models import Invite, Membership, Organization, QuotaWindow


class OrganizationRepository(Repository):
    """The tenants themselves."""

    platform = True

    async def add_unless_slug_taken(self, organization: Organization) -> bool:
        """Store a new organization; False when its slug is taken, also by a racing one."""
        stored = await self.session.execute(
            insert(Organization)
            .values(
                id=organization.id,
                name=organization.name,
                slug=organization.slug,
                plan=organization.plan,
                catalog_version=organization.catalog_version,
                limits=organization.limits,
                features=organization.features,
                seat_limit=organization.seat_limit,
                window_start=organization.window_start,
                window_end=organization.window_end,
                draws_on_credit_since=organization.draws_on_credit_since,
                is_suspended=False,
                is_disputed=False,
                created_at=organization.created_at,
            )
            .on_conflict_do_nothing(index_elements=[Organization.slug])
            .returning(Organization.id)
        )
        return stored.scalar_one_or_none() is not None

    async def find(self, organization_id: OrganizationId) -> Organization | None:
        return await self.session.get(Organization, organization_id)

    async def find_many(self, organization_ids: Collection[UUID]) -> dict[UUID, Organization]:
        rows = await self.session.scalars(
            select(Organization).where(Organization.id.in_(organization_ids))
        )
        return {row.id: row for row in rows}

    async def get(self, organization_id: OrganizationId) -> Organization:
        organization = await self.find(organization_id)
        if organization is None:
            raise OrganizationNotFound
        return organization

    async def find_and_claim(self, organization_id: OrganizationId) -> Organization | None:
        """The organization, locked until the unit ends: whoever counts seats comes through here."""
        return await self.session.scalar(
            select(Organization)
            .where(Organization.id == organization_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def claim(self, organization_id: OrganizationId) -> Organization:
        """As `find_and_claim`. Raises `OrganizationNotFound`."""
        organization = await self.find_and_claim(organization_id)
        if organization is None:
            raise OrganizationNotFound
        return organization

    async def find_by_stripe_customer(self, customer_id: str) -> Organization | None:
        return await self.session.scalar(
            select(Organization).where(Organization.stripe_customer_id == customer_id)
        )


class QuotaWindowRepository(Repository):
    """Windows that are over."""

    async def keep(self, organization_id: OrganizationId, window: Period, plan: str) -> None:
        """Keep a window that is over."""
        await self.session.execute(
            insert(QuotaWindow).values(
                organization_id=organization_id,
                id=new_id(),
                starts_at=window.start,
                ends_at=window.end,
                plan=plan,
            )
        )

    async def cut_off(self, organization_id: OrganizationId, at: datetime) -> None:
        """Let nothing of the history reach beyond *at*."""
        mine = QuotaWindow.organization_id == organization_id
        await self.session.execute(delete(QuotaWindow).where(mine, QuotaWindow.starts_at >= at))
        await self.session.execute(
            update(QuotaWindow).where(mine, QuotaWindow.ends_at > at).values(ends_at=at)
        )

    async def list_past(self, organization_id: OrganizationId) -> list[Period]:
        """All windows that are over, newest first."""
        rows = await self.session.scalars(
            select(QuotaWindow)
            .where(QuotaWindow.organization_id == organization_id)
            .order_by(QuotaWindow.starts_at.desc())
        )
        return [Period(row.starts_at, row.ends_at) for row in rows]


class MemberRepository(Repository):
    """Who belongs where."""

    def add(self, membership: Membership) -> None:
        self.session.add(membership)

    async def find(self, organization_id: OrganizationId, user_id: UserId) -> Membership | None:
        return await self.session.get(Membership, (organization_id, user_id))

    async def claim(self, organization_id: OrganizationId, user_id: UserId) -> Membership:
        """The membership, locked until the unit ends. Raises `MemberNotFound`."""
        membership = await self.session.scalar(
            select(Membership)
            .where(Membership.organization_id == organization_id, Membership.user_id == user_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if membership is None:
            raise MemberNotFound
        return membership

    async def remove(self, organization_id: OrganizationId, user_id: UserId) -> None:
        await self.session.execute(
            delete(Membership).where(
                Membership.organization_id == organization_id, Membership.user_id == user_id
            )
        )

    async def count(self, organization_id: OrganizationId, role: Role | None = None) -> int:
        query: Select[int] = (
            select(func.count())
            .select_from(Membership)
            .where(Membership.organization_id == organization_id)
        )
        if role is not None:
            query = query.where(Membership.role == role.value)
        return int(await self.session.scalar(query) or 0)

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[Membership]:
        query = select(Membership).where(Membership.organization_id == organization_id)
        return await self.page(query, request, Membership.user_id, lambda row: row.user_id)

    async def list_of_user_for_platform(
        self, user_id: UserId
    ) -> list[tuple[Membership, Organization]]:
        """Every organization of a person, the one they joined first in front."""
        rows = await self.session.execute(
            select(Membership, Organization)
            .join(Organization, Organization.id == Membership.organization_id)
            .where(Membership.user_id == user_id)
            .order_by(Membership.joined_at, Membership.organization_id)
        )
        return [(membership, organization) for membership, organization in rows]

    async def find_of_user_for_platform(
        self, user_id: UserId, preferred: OrganizationId | None
    ) -> tuple[Membership, Organization] | None:
        """The *preferred* one of a person's organizations, else the one they joined first."""
        rows = await self.session.execute(
            select(Membership, Organization)
            .join(Organization, Organization.id == Membership.organization_id)
            .where(Membership.user_id == user_id)
            .order_by(
                (Membership.organization_id == preferred).desc(),
                Membership.joined_at,
                Membership.organization_id,
            )
            .limit(1)
        )
        found = rows.first()
        return None if found is None else (found[0], found[1])

    async def page_of_user_for_platform(
        self, user_id: UserId, request: PageRequest, only: OrganizationId | None
    ) -> Page[Membership]:
        """The memberships of a person, in the newest organization first."""
        query = select(Membership).where(Membership.user_id == user_id)
        if only is not None:
            query = query.where(Membership.organization_id == only)
        return await self.page(
            query, request, Membership.organization_id, lambda row: row.organization_id
        )


class InviteRepository(Repository):
    """Invitations."""

    async def add_unless_open(self, organization_id: OrganizationId, invite: Invite) -> bool:
        """Store an invitation; False when one to the same address is open."""
        stored = await self.session.execute(
            insert(Invite)
            .values(
                organization_id=organization_id,
                id=invite.id,
                email=invite.email,
                role=invite.role,
                invited_by=invite.invited_by,
                created_at=invite.created_at,
                expires_at=invite.expires_at,
            )
            .on_conflict_do_nothing()
            .returning(Invite.id)
        )
        return stored.scalar_one_or_none() is not None

    async def find(self, organization_id: OrganizationId, invite_id: UUID) -> Invite | None:
        return await self.session.get(Invite, (organization_id, invite_id))

    async def claim(self, organization_id: OrganizationId, invite_id: UUID) -> Invite:
        """The invitation, locked until the unit ends. Raises `InviteNotFound`."""
        invite = await self.session.scalar(
            select(Invite)
            .where(Invite.organization_id == organization_id, Invite.id == invite_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if invite is None:
            raise InviteNotFound
        return invite

    async def count_open(self, organization_id: OrganizationId, at: datetime) -> int:
        return int(
            await self.session.scalar(
                select(func.count())
                .select_from(Invite)
                .where(
                    Invite.organization_id == organization_id,
                    Invite.accepted_at.is_(None),
                    Invite.expires_at > at,
                )
            )
            or 0
        )

    async def list_open(
        self, organization_id: OrganizationId, at: datetime, request: PageRequest
    ) -> Page[Invite]:
        query = select(Invite).where(
            Invite.organization_id == organization_id,
            Invite.accepted_at.is_(None),
            Invite.expires_at > at,
        )
        return await self.page(query, request, Invite.id, lambda row: row.id)

    async def remove(self, organization_id: OrganizationId, invite_id: UUID) -> None:
        await self.session.execute(
            delete(Invite).where(Invite.organization_id == organization_id, Invite.id == invite_id)
        )

    async def forget_expired(
        self, organization_id: OrganizationId, email: str, at: datetime
    ) -> None:
        """Make room for a new invitation to an address whose last one has run out."""
        await self.session.execute(
            delete(Invite).where(
                Invite.organization_id == organization_id,
                Invite.email == email,
                Invite.accepted_at.is_(None),
                Invite.expires_at <= at,
            )
        )
