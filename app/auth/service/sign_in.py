"""Signing up and signing in."""

from __future__ import annotations

from app.audit.service import acting_as
from app.auth.domain import Device, Session, SignedIn, SignedInBrowser
from app.auth.errors import AccountSuspended, RefreshTokenReused
from app.auth.service.sessions import SessionService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.rate_limit import RateLimiter
from app.kernel.ids import OrganizationId, UserId
from app.kernel.principal import Principal
from app.organizations.domain import Belonging, Role
from app.organizations.errors import OrganizationNotFound
from app.organizations.service import OrganizationService
from app.users.domain import Person, VerifiedPassword, normalize_email
from app.users.errors import InvalidCredentials
from app.users.service import UserService, actor_of

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
            person = await self._users.create(email, name, hashed, by_themselves=True)
            with acting_as(actor_of(person.id)):
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

    async def login_in_browser(
        self,
        email: str,
        password: str,
        organization_id: OrganizationId | None,
        device: Device,
    ) -> SignedInBrowser:
        """As `login`, with a cookie instead of tokens."""
        verified = await self.check(email, password)
        async with self._work.begin_platform():
            person = await self._users.record_sign_in(verified)
            belonging = await self.belonging(person.id, organization_id)
            session = await self._sessions.open_in_browser(
                person.id, belonging.organization.id if belonging else None, device
            )
            return SignedInBrowser(person, belonging, session)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """The next token pair of a session; the presented refresh token is dead from now on.

        Presenting it again ends the session: either the caller or a thief has the newer one, and
        nobody can tell which. There is no grace for a client that races with itself.
        Raises `RefreshTokenReused`, `InvalidRefreshToken` or `AccountSuspended`.
        """
        async with self._work.begin_platform():
            session = await self._sessions.redeem(refresh_token)
            if session is not None:
                return await self._go_on(session)
        raise RefreshTokenReused

    async def switch(
        self, principal: Principal, organization_id: OrganizationId, device: Device
    ) -> SignedIn:
        """A session in another of one's organizations; a browser's session moves there too.

        Raises `OrganizationNotFound` where the person does not belong.
        """
        async with self._work.begin_platform():
            person = await self._users.get(principal.user_id)
            belonging = await self.belonging(person.id, organization_id)
            if principal.token_type == "session" and principal.session_id is not None:  # noqa: S105
                await self._sessions.move(principal.session_id, organization_id)
            return await self._signed_in(person, belonging, device)

    async def _go_on(self, session: Session) -> SignedIn:
        person = await self._users.get(session.user_id)
        if person.is_suspended:
            raise AccountSuspended
        # Someone who was removed from an organization goes on in the one they joined first.
        belonging = await self._organizations.find_for_user(
            person.id,
            OrganizationId(session.organization_id) if session.organization_id else None,
        )
        tokens = await self._sessions.go_on(
            session.id,
            belonging.organization.id if belonging else None,
            belonging.role if belonging else None,
        )
        return SignedIn(person, belonging, tokens)

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
        found = await self._organizations.find_for_user(user_id, organization_id)
        is_other = found is None or found.organization.id != organization_id
        if organization_id is not None and is_other:
            raise OrganizationNotFound
        return found

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
