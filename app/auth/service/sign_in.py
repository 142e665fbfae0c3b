"""Signing up and signing in."""

from __future__ import annotations

from app.auth.domain import Device, SignedIn
from app.auth.errors import AccountSuspended
from app.auth.service.sessions import SessionService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.rate_limit import RateLimiter
from app.kernel.ids import OrganizationId, UserId
from app.organizations.domain import Belonging, Role
from app.organizations.errors import OrganizationNotFound
from app.organizations.service import OrganizationService
from app.users.domain import Person, VerifiedPassword, normalize_email
from app.users.errors import InvalidCredentials
from app.users.service import UserService

GUESSES = "10/minute"
"""How many passwords may be tried for one account; a right one clears the count."""


class SignInService:
    """Turns an e-mail address and a password into a session."""

    def __init__(
        self,
        work: UnitOfWork,
        users: UserService,
        organizations: OrganizationService,
        sessions: SessionService,
        limits: RateLimiter,
    ) -> None:
        self._work = work
        self._users = users
        self._organizations = organizations
        self._sessions = sessions
        self._limits = limits

    async def register(
        self,
        email: str,
        password: str,
        name: str,
        organization_name: str | None,
        device: Device,
    ) -> SignedIn:
        """Open an account with an organization of its own, and sign in.

        Raises `WeakPassword`, and `EmailTaken` for the second of two at once.
        """
        hashed = await self._users.hash_password(password, about=(email, name))
        async with self._work.begin_platform():
            person = await self._users.create(email, name, hashed)
            organization = await self._organizations.create(
                organization_name or f"{name}'s organization", person.id
            )
            belonging = Belonging(organization, Role.OWNER)
            return await self._signed_in(person, belonging, device)

    async def login(
        self,
        email: str,
        password: str,
        organization_id: OrganizationId | None,
        device: Device,
    ) -> SignedIn:
        """Sign in to *organization_id*, or to the organization joined first.

        Raises `InvalidCredentials`, alike and after the same time for unknown and for wrong, and
        `OrganizationNotFound` where the person does not belong.
        """
        verified = await self.check(email, password)
        async with self._work.begin_platform():
            person = await self._users.record_sign_in(verified)
            belonging = await self.belonging(person.id, organization_id)
            return await self._signed_in(person, belonging, device)

    async def check(self, email: str, password: str) -> VerifiedPassword:
        """Check a password within the account's allowance of guesses."""
        account = normalize_email(email)
        await self._limits.hit(GUESSES, "sign-in", account)
        verified = await self._users.verify_password(account, password)
        if verified is None:
            raise InvalidCredentials
        await self._limits.forgive(GUESSES, "sign-in", account)
        if verified.person.is_suspended:
            raise AccountSuspended
        return verified

    async def belonging(
        self, user_id: UserId, organization_id: OrganizationId | None
    ) -> Belonging | None:
        """The organization asked for, else the one joined first; None for who has none."""
        belongings = await self._organizations.list_for_user(user_id)
        if organization_id is None:
            return belongings[0] if belongings else None
        for belonging in belongings:
            if belonging.organization.id == organization_id:
                return belonging
        raise OrganizationNotFound

    async def _signed_in(
        self, person: Person, belonging: Belonging | None, device: Device
    ) -> SignedIn:
        tokens = await self._sessions.open(
            person.id,
            belonging.organization.id if belonging else None,
            belonging.role if belonging else None,
            device,
        )
        return SignedIn(person, belonging, tokens)
