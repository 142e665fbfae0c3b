"""Changing a password, forgetting it, and proving an address."""

from __future__ import annotations

from app.audit.service import now_acting
from app.auth.domain import OneTimePurpose
from app.auth.events import PasswordChanged, PasswordResetRequested
from app.auth.service.one_time_tokens import OneTimeTokenService
from app.auth.service.sessions import SessionService
from app.auth.service.sign_in import SignInService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.rate_limit import RateLimiter
from app.kernel.ids import UserId
from app.kernel.principal import Principal
from app.users.domain import normalize_email
from app.users.service import UserService, actor_of

MAILS = "5/hour"
"""How many mails of one kind somebody may ask for, for one account."""


class PasswordService:
    """One's own password, and the mails that stand in for it."""

    def __init__(
        self,
        work: UnitOfWork,
        users: UserService,
        sign_in: SignInService,
        sessions: SessionService,
        one_time_tokens: OneTimeTokenService,
        limits: RateLimiter,
    ) -> None:
        self._work = work
        self._users = users
        self._sign_in = sign_in
        self._sessions = sessions
        self._one_time_tokens = one_time_tokens
        self._limits = limits

    async def change(self, caller: Principal, current: str, new: str) -> None:
        """Replace the password and sign out every other device.

        Raises `InvalidCredentials` for a wrong current one, within the same allowance of guesses
        as signing in, and `WeakPassword`.
        """
        verified = await self._sign_in.check(caller.email, current)
        person = verified.person
        hashed = await self._users.hash_password(new, about=(person.email, person.name))
        async with self._work.begin_platform():
            await self._users.set_password(person.id, hashed, seen_hash=verified.seen_hash)
            await self._sessions.end_all(person.id, "password_changed", but=caller.session_id)
            self._work.announce(PasswordChanged(person.id))

    async def forget(self, email: str) -> None:
        """Have a link sent that sets a new password. Says nothing of whether there is an account."""
        account = normalize_email(email)
        await self._limits.hit(MAILS, "password-forgotten", account)
        async with self._work.begin_platform():
            person = await self._users.find_by_email(account)
            if person is not None and not person.is_suspended:
                self._work.announce(PasswordResetRequested(person.id))

    async def reset(self, token: str, new: str) -> None:
        """Set a new password with the link from the mail, and sign out every device.

        The link also proves the address. Raises `OneTimeTokenRefused` or `WeakPassword`.
        """
        # Looked at before the slow hash, so that made-up links cost us nothing.
        user_id = await self._one_time_tokens.look_at(token, OneTimePurpose.PASSWORD_RESET)
        person = await self._users.get(user_id)
        hashed = await self._users.hash_password(new, about=(person.email, person.name))
        async with self._work.begin_platform():
            now_acting(actor_of(user_id))
            await self._one_time_tokens.redeem(token, OneTimePurpose.PASSWORD_RESET)
            await self._users.set_password(user_id, hashed)
            await self._users.mark_email_verified(user_id)
            await self._sessions.end_all(user_id, "password_reset")
            self._work.announce(PasswordChanged(user_id))

    async def verify_email(self, token: str) -> None:
        """Prove an address with the link from the mail. Raises `OneTimeTokenRefused`."""
        async with self._work.begin_platform():
            user_id = await self._one_time_tokens.redeem(token, OneTimePurpose.EMAIL_VERIFICATION)
            now_acting(actor_of(user_id))
            await self._users.mark_email_verified(user_id)

    async def ask_to_verify_again(self, user_id: UserId) -> None:
        """Have another link sent that proves the address."""
        await self._limits.hit(MAILS, "email-verification", str(user_id))
        await self._users.request_email_verification(user_id)
