"""Who belongs to an organization, and as what."""

from __future__ import annotations

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id
from app.kernel.pages import Page, PageRequest
from app.kernel.principal import Permission
from app.organizations.domain import Member, Role
from app.organizations.errors import LastOwner, OwnersOnly
from app.organizations.events import MemberRemoved
from app.organizations.models import Membership
from app.organizations.repository import MemberRepository, OrganizationRepository
from app.users.service import UserService, user_signal


class MemberService:
    """Changes of membership. Each holds the organization's row, so an owner always remains."""

    def __init__(
        self,
        work: UnitOfWork,
        organizations: OrganizationRepository,
        members: MemberRepository,
        users: UserService,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._organizations = organizations
        self._members = members
        self._users = users
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[Member]:
        """The people of an organization, the latest account first."""
        async with self._work.begin(organization_id):
            page = await self._members.list_for_organization(organization_id, request)
            people = await self._users.find_many([UserId(row.user_id) for row in page.items])

        def named(row: Membership) -> Member:
            person = people[UserId(row.user_id)]
            return Member(person.id, person.email, person.name, Role(row.role), row.joined_at)

        return page.map(named)

    async def change_role(
        self,
        organization_id: OrganizationId,
        user_id: UserId,
        role: Role,
        granted: frozenset[Permission],
    ) -> Member:
        """Give a member another role, as someone who holds *granted*.

        Raises `OwnersOnly` where an owner is made or unmade by someone who is none, and
        `LastOwner`.
        """
        async with self._work.begin(organization_id):
            await self._organizations.claim(organization_id)
            membership = await self._members.claim(organization_id, user_id)
            before = Role(membership.role)
            _require_owner_for({before, role}, granted)
            if before is not role:
                if before is Role.OWNER:
                    await self._require_another_owner(organization_id)
                await self._set_role(membership, role)
            person = await self._users.get(user_id)
            return Member(person.id, person.email, person.name, role, membership.joined_at)

    async def remove(
        self,
        organization_id: OrganizationId,
        user_id: UserId,
        granted: frozenset[Permission],
    ) -> None:
        """Take someone out; their tokens for this organization are refused from now on.

        Raises `OwnersOnly`, `LastOwner` or `MemberNotFound`.
        """
        async with self._work.begin(organization_id):
            await self._organizations.claim(organization_id)
            membership = await self._members.claim(organization_id, user_id)
            role = Role(membership.role)
            if role is Role.OWNER:
                _require_owner_for({role}, granted)
                await self._require_another_owner(organization_id)
            await self._members.remove(organization_id, user_id)
            self._audit.record(
                "members.removed",
                encode_id("usr", user_id),
                organization_id=organization_id,
                before={"role": role},
            )
            self._work.announce(MemberRemoved(organization_id, user_id, self._clock.now()))
            await self._signals.send(self._work.session, user_signal(user_id))

    async def transfer(
        self, organization_id: OrganizationId, owner_id: UserId, heir_id: UserId
    ) -> None:
        """Make *heir_id* an owner in place of *owner_id*, who becomes an admin.

        Raises `OwnersOnly` when *owner_id* is no owner any more, as after a racing transfer.
        """
        async with self._work.begin(organization_id):
            await self._organizations.claim(organization_id)
            owner = await self._members.claim(organization_id, owner_id)
            heir = await self._members.claim(organization_id, heir_id)
            if Role(owner.role) is not Role.OWNER:
                raise OwnersOnly
            if owner_id == heir_id:
                return
            await self._set_role(heir, Role.OWNER)
            await self._set_role(owner, Role.ADMIN)

    async def _set_role(self, membership: Membership, role: Role) -> None:
        before, membership.role = membership.role, role.value
        user_id = UserId(membership.user_id)
        self._audit.record(
            "members.role_changed",
            encode_id("usr", user_id),
            organization_id=OrganizationId(membership.organization_id),
            before={"role": before},
            after={"role": role},
        )
        await self._signals.send(self._work.session, user_signal(user_id))

    async def _require_another_owner(self, organization_id: OrganizationId) -> None:
        if await self._members.count(organization_id, Role.OWNER) < 2:
            raise LastOwner


def _require_owner_for(roles: set[Role], granted: frozenset[Permission]) -> None:
    if Role.OWNER in roles and Permission.ORGANIZATION_TRANSFER not in granted:
        raise OwnersOnly
