"""Asking people in, and their coming in."""

from __future__ import annotations

from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import KeyedHash, random_token
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.organizations import domain
from app.organizations.domain import (
    INVITE_LIFETIME,
    Belonging,
    PlanAdvice,
    Role,
    make_invite_token,
    parse_invite_token,
)
from app.organizations.errors import (
    AlreadyInvited,
    AlreadyMember,
    InviteAlreadyAccepted,
    InviteForSomeoneElse,
    InviteNotFound,
)
from app.organizations.events import MemberInvited
from app.organizations.models import Invite, Membership
from app.organizations.repository import (
    InviteRepository,
    MemberRepository,
    OrganizationRepository,
)
from app.organizations.service.seats import require_seat
from app.users.domain import normalize_email
from app.users.service import UserService, user_signal


class InviteService:
    """Invitations. An open one takes a seat, so that nobody is invited in vain."""

    def __init__(
        self,
        work: UnitOfWork,
        organizations: OrganizationRepository,
        members: MemberRepository,
        invites: InviteRepository,
        users: UserService,
        plans: PlanAdvice,
        hashes: KeyedHash,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._organizations = organizations
        self._members = members
        self._invites = invites
        self._users = users
        self._plans = plans
        self._hashes = hashes
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def invite(
        self, organization_id: OrganizationId, email: str, role: Role, invited_by: UserId
    ) -> domain.Invite:
        """Ask someone in; the mail with the link follows.

        Raises `SeatLimitReached`, `AlreadyMember` or `AlreadyInvited`.
        """
        now = self._clock.now()
        address = normalize_email(email)
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            known = await self._users.find_by_email(address)
            if known and await self._members.find(organization_id, known.id):
                raise AlreadyMember
            await self._invites.forget_expired(organization_id, address, now)
            invite = Invite(
                organization_id=organization_id,
                id=new_id(),
                email=address,
                role=role.value,
                invited_by=invited_by,
                created_at=now,
                expires_at=now + INVITE_LIFETIME,
            )
            taken = await self._members.count(organization_id)
            taken += await self._invites.count_open(organization_id, now)
            if not await self._invites.add_unless_open(organization_id, invite):
                raise AlreadyInvited
            require_seat(organization, taken, self._plans)
            self._audit.record(
                "invites.created",
                encode_id("ivt", invite.id),
                organization_id=organization_id,
                after={"email": address, "role": role},
            )
            self._work.announce(MemberInvited(organization_id, invite.id))
            return invite.to_domain()

    async def list_open(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.Invite]:
        """The invitations that wait for an answer, the latest first."""
        async with self._work.begin(organization_id):
            page = await self._invites.list_open(organization_id, self._clock.now(), request)
            return page.map(lambda invite: invite.to_domain())

    async def get(self, organization_id: OrganizationId, invite_id: UUID) -> domain.Invite:
        """Raises `InviteNotFound`."""
        async with self._work.begin(organization_id):
            invite = await self._invites.find(organization_id, invite_id)
            if invite is None:
                raise InviteNotFound
            return invite.to_domain()

    async def withdraw(self, organization_id: OrganizationId, invite_id: UUID) -> None:
        """Take an open invitation back; its link is dead. Raises `InviteNotFound`."""
        async with self._work.begin(organization_id):
            invite = await self._invites.claim(organization_id, invite_id)
            if invite.accepted_at is not None:
                raise InviteNotFound
            await self._invites.remove(organization_id, invite_id)
            self._audit.record(
                "invites.withdrawn",
                encode_id("ivt", invite_id),
                organization_id=organization_id,
                before={"email": invite.email, "role": invite.role},
            )

    async def issue_invite_token(self, organization_id: OrganizationId, invite_id: UUID) -> str:
        """The secret for the link in the mail; an earlier one is dead. Raises `InviteNotFound`."""
        async with self._work.begin(organization_id):
            invite = await self._invites.claim(organization_id, invite_id)
            if invite.accepted_at is not None or invite.expires_at <= self._clock.now():
                raise InviteNotFound
            token = make_invite_token(organization_id, invite_id, random_token())
            invite.token_hash = self._hashes.text(token)
            return token

    async def accept(self, token: str, user_id: UserId) -> Belonging:
        """Come in through a link, as the person whose address it was sent to.

        The link also proves the address. Raises `InviteNotFound`, `InviteAlreadyAccepted`,
        `InviteForSomeoneElse`, `AlreadyMember` or `SeatLimitReached`.
        """
        named = parse_invite_token(token)
        if named is None:
            raise InviteNotFound
        organization_id, invite_id = named
        now = self._clock.now()
        async with self._work.begin(organization_id):
            # Locked before anything is counted: of two accepts for the last seat one waits here.
            organization = await self._organizations.find_and_claim(organization_id)
            if organization is None:
                raise InviteNotFound
            invite = await self._invites.claim(organization_id, invite_id)
            if invite.token_hash is None or not self._hashes.matches(token, invite.token_hash):
                raise InviteNotFound
            person = await self._users.get(user_id)
            if person.email != invite.email:
                raise InviteForSomeoneElse
            if invite.accepted_at is not None:
                raise InviteAlreadyAccepted
            if invite.expires_at <= now:
                raise InviteNotFound
            if await self._members.find(organization_id, user_id) is not None:
                raise AlreadyMember
            require_seat(organization, await self._members.count(organization_id), self._plans)
            self._members.add(
                Membership(
                    organization_id=organization_id,
                    id=user_id,
                    role=invite.role,
                    joined_at=now,
                )
            )
            invite.accepted_at = now
            self._audit.record(
                "members.joined",
                encode_id("usr", user_id),
                organization_id=organization_id,
                after={"role": invite.role, "invite": encode_id("ivt", invite_id)},
            )
            await self._users.mark_email_verified(user_id)
            await self._signals.send(self._work.session, user_signal(user_id))
            return Belonging(organization.to_domain(), Role(invite.role))
