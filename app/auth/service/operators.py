"""The first platform operator."""

from __future__ import annotations

import structlog

from app.infra.security.passwords import Passwords
from app.users.domain import normalize_email, weakness_of
from app.users.errors import EmailTaken, WeakPassword
from app.users.service import UserService

log = structlog.get_logger(__name__)


class Operators:
    """Makes sure that somebody can run the platform."""

    def __init__(self, users: UserService, passwords: Passwords, *, is_strict: bool) -> None:
        self._users = users
        self._passwords = passwords
        self._is_strict = is_strict

    async def bootstrap(self, email: str, password: str) -> None:
        """See to it that an operator with this address exists. Repeating it changes nothing.

        An account that somebody opened under the address before is promoted only if it has this
        password; otherwise whoever registers first would become operator. A weak password raises
        `WeakPassword` in production and is a warning elsewhere.
        """
        address = normalize_email(email)
        known = await self._users.find_by_email(address)
        if known is None:
            try:
                await self._create(address, password)
            except EmailTaken:
                # Another process of this deployment started at the same moment.
                return
            log.info("operators.created")
        elif not known.is_operator:
            if await self._users.verify_password(address, password) is None:
                log.error("operators.not_promoted", reason="the account has another password")
                return
            await self._users.appoint_operator(known.id)
            log.info("operators.promoted")

    async def _create(self, address: str, password: str) -> None:
        reason = weakness_of(password, about=(address,))
        if reason is not None:
            if self._is_strict:
                raise WeakPassword(reason=reason)
            log.warning("operators.weak_password", reason=reason)
        hashed = await self._passwords.hash(password)
        await self._users.create(address, "Operator", hashed, is_operator=True, is_verified=True)
