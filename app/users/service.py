"""What can be done with people."""

from __future__ import annotations

from collections.abc import Collection

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.passwords import Passwords
from app.kernel.clock import Clock
from app.kernel.ids import UserId, encode_id, new_id
from app.users.domain import Person, VerifiedPassword, normalize_email, weakness_of
from app.users.errors import (
    EmailTaken,
    InvalidCredentials,
    UnknownHash,
    UserNotFound,
    WeakPassword,
)
from app.users.events import EmailVerificationRequested
from app.users.models import User
from app.users.repository import UserRepository

_READINGS = 2
"""A hash may be upgraded by a racing sign-in between reading and replacing it, but only once."""


def actor_of(user_id: UserId) -> str:
    """Someone as the audit log names them, where no verified caller stands for them yet."""
    return f"user:{user_id}"


def user_signal(user_id: UserId) -> str:
    """What other processes hear when someone's rights have changed."""
    return f"user:{user_id}"


class UserService:
    """Accounts of people. Methods join the unit of work around them."""

    def __init__(
        self,
        work: UnitOfWork,
        users: UserRepository,
        passwords: Passwords,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._users = users
        self._passwords = passwords
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def hash_password(self, password: str, *, about: tuple[str, ...] = ()) -> str:
        """Hash a new password, outside any unit: it takes a while. Raises `WeakPassword`."""
        reason = weakness_of(password, about=about)
        if reason is not None:
            raise WeakPassword(reason=reason)
        return await self._passwords.hash(password)

    async def create(
        self,
        email: str,
        name: str,
        password_hash: str,
        *,
        is_operator: bool = False,
        is_verified: bool = False,
        by_themselves: bool = False,
    ) -> Person:
        """Open an account; *by_themselves* names the new person as the one who did.

        Of two at once with one address, one raises `EmailTaken`.
        """
        now = self._clock.now()
        user = User(
            id=new_id(),
            email=normalize_email(email),
            name=name,
            password_hash=password_hash,
            is_operator=is_operator,
            email_verified_at=now if is_verified else None,
            created_at=now,
        )
        async with self._work.begin_platform():
            if not await self._users.add_unless_taken(user):
                raise EmailTaken
            person = user.to_domain()
            self._audit.record(
                "users.created",
                encode_id("usr", user.id),
                organization_id=None,
                after={"email": user.email, "name": name, "is_operator": is_operator},
                actor=actor_of(person.id) if by_themselves else None,
            )
            if not is_verified:
                self._work.announce(EmailVerificationRequested(user.id))
        return person

    async def find(self, user_id: UserId) -> Person | None:
        async with self._work.begin_platform():
            user = await self._users.find(user_id)
            return user.to_domain() if user else None

    async def get(self, user_id: UserId) -> Person:
        """Raises `UserNotFound`."""
        person = await self.find(user_id)
        if person is None:
            raise UserNotFound
        return person

    async def find_by_email(self, email: str) -> Person | None:
        async with self._work.begin_platform():
            user = await self._users.find_by_email(normalize_email(email))
            return user.to_domain() if user else None

    async def find_many(self, user_ids: Collection[UserId]) -> dict[UserId, Person]:
        async with self._work.begin_platform():
            return {UserId(u.id): u.to_domain() for u in await self._users.find_many(user_ids)}

    async def list_operators(self) -> list[Person]:
        """Whoever runs the platform and has not been suspended."""
        async with self._work.begin_platform():
            return [user.to_domain() for user in await self._users.list_operators()]

    async def rename(self, user_id: UserId, name: str) -> None:
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if user.name == name:
                return
            self._audit.record(
                "users.renamed",
                encode_id("usr", user_id),
                organization_id=None,
                before={"name": user.name},
                after={"name": name},
            )
            user.name = name

    async def set_password(
        self, user_id: UserId, password_hash: str, *, seen_hash: str | None = None
    ) -> None:
        """Replace a password. With *seen_hash*, only if nobody else replaced it meanwhile.

        Raises `InvalidCredentials` when somebody did.
        """
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if seen_hash is not None and user.password_hash != seen_hash:
                raise InvalidCredentials
            user.password_hash = password_hash
            self._record("users.password_changed", user_id)

    async def request_email_verification(self, user_id: UserId) -> None:
        """Have a link sent that proves the address. Nothing happens once it is proven."""
        async with self._work.begin_platform():
            person = await self.get(user_id)
            if person.email_verified_at is None:
                self._work.announce(EmailVerificationRequested(user_id))

    async def mark_email_verified(self, user_id: UserId) -> None:
        """The address has been proven. Repeating it changes nothing."""
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if user.email_verified_at is None:
                user.email_verified_at = self._clock.now()
                self._record("users.email_verified", user_id)

    async def appoint_operator(self, user_id: UserId) -> None:
        """Let someone run the platform. Repeating it changes nothing."""
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if not user.is_operator:
                user.is_operator = True
                self._record("users.operator_appointed", user_id)
                await self._signals.send(self._work.session, user_signal(user_id))

    async def suspend(self, user_id: UserId, reason: str) -> None:
        """Refuse someone everything, at once and everywhere, until `restore`."""
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if user.suspended_at is None:
                user.suspended_at = self._clock.now()
                self._record("users.suspended", user_id, reason=reason)
                await self._signals.send(self._work.session, user_signal(user_id))

    async def restore(self, user_id: UserId, reason: str) -> None:
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if user.suspended_at is not None:
                user.suspended_at = None
                self._record("users.restored", user_id, reason=reason)
                await self._signals.send(self._work.session, user_signal(user_id))

    async def import_person(self, email: str, name: str, stored_hash: str) -> Person:
        """Take over an account of the predecessor, with its hash (see `infra/security/passwords`).

        Raises `UnknownHash` for a form that could never verify, and `EmailTaken`.
        """
        if not self._passwords.recognizes(stored_hash):
            raise UnknownHash
        return await self.create(email, name, stored_hash)

    def _record(
        self, action: str, user_id: UserId, reason: str | None = None, actor: str | None = None
    ) -> None:
        self._audit.record(
            action, encode_id("usr", user_id), organization_id=None, reason=reason, actor=actor
        )

    async def verify_password(self, email: str, password: str) -> VerifiedPassword | None:
        """Check a password, outside any unit; None takes as long for unknown as for wrong.

        An outdated hash is replaced on the way. The answer is about the hash as it is now: redeem
        it with `record_sign_in`, which refuses when the password has been changed since.
        """
        address = normalize_email(email)
        for _ in range(_READINGS):
            async with self._work.begin_platform():
                user = await self._users.find_by_email(address)
                person = user.to_domain() if user else None
                stored = user.password_hash if user else None
            checked = await self._passwords.verify(password, stored)
            if person is None or stored is None or not checked.is_correct:
                return None
            if checked.replacement is None:
                return VerifiedPassword(person, stored)
            if await self._upgrade(person.id, stored, checked.replacement):
                return VerifiedPassword(person, checked.replacement)
        return None

    async def record_sign_in(self, verified: VerifiedPassword) -> Person:
        """Note the sign-in.

        Raises `InvalidCredentials` when the password has been changed since it was checked: a
        sign-in that began with the old one must not outlive it.
        """
        async with self._work.begin_platform():
            user = await self._users.claim(verified.person.id)
            if user.password_hash != verified.seen_hash:
                raise InvalidCredentials
            user.last_login_at = self._clock.now()
            return user.to_domain()

    async def _upgrade(self, user_id: UserId, seen_hash: str, replacement: str) -> bool:
        """Replace an outdated hash; False when somebody else did something to it first."""
        async with self._work.begin_platform():
            user = await self._users.claim(user_id)
            if user.password_hash != seen_hash:
                return False
            user.password_hash = replacement
            self._record("users.password_hash_upgraded", user_id, actor=actor_of(user_id))
            return True
