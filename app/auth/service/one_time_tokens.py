"""Links in mails: each works once, and only the newest of its kind."""

from __future__ import annotations

from app.auth.domain import LIFETIMES, OneTimePurpose
from app.auth.errors import OneTimeTokenRefused
from app.auth.models import OneTimeToken
from app.auth.repository import OneTimeTokenRepository
from app.auth.service.secrets import Secrets
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import random_token
from app.kernel.clock import Clock
from app.kernel.ids import UserId


class OneTimeTokenService:
    """Issues and redeems the secrets of mails. Only `notifications` sees one, to send it."""

    def __init__(
        self, work: UnitOfWork, tokens: OneTimeTokenRepository, secrets: Secrets, clock: Clock
    ) -> None:
        self._work = work
        self._tokens = tokens
        self._secrets = secrets
        self._clock = clock

    async def issue_password_reset_token(self, user_id: UserId) -> str:
        """A token that sets a new password within the hour; an earlier one is dead."""
        return await self._issue(user_id, OneTimePurpose.PASSWORD_RESET)

    async def issue_email_verification_token(self, user_id: UserId) -> str:
        """A token that proves an address within three days; an earlier one is dead."""
        return await self._issue(user_id, OneTimePurpose.EMAIL_VERIFICATION)

    async def look_at(self, token: str, purpose: OneTimePurpose) -> UserId:
        """Whose live token this is, without using it. Raises `OneTimeTokenRefused`."""
        async with self._work.begin_platform():
            found = await self._tokens.find_live(
                self._secrets.of_one_time_token(token), purpose.value, self._clock.now()
            )
        if found is None:
            raise OneTimeTokenRefused
        return UserId(found.user_id)

    async def redeem(self, token: str, purpose: OneTimePurpose) -> UserId:
        """Use a token up and say whose it was; of two at once, one raises `OneTimeTokenRefused`."""
        async with self._work.begin_platform():
            user_id = await self._tokens.use(
                self._secrets.of_one_time_token(token), purpose.value, self._clock.now()
            )
            if user_id is None:
                raise OneTimeTokenRefused
            return user_id

    async def _issue(self, user_id: UserId, purpose: OneTimePurpose) -> str:
        now = self._clock.now()
        token = random_token()
        async with self._work.begin_platform():
            await self._tokens.replace(
                OneTimeToken(
                    user_id=user_id,
                    purpose=purpose.value,
                    token_hash=self._secrets.of_one_time_token(token),
                    created_at=now,
                    expires_at=now + LIFETIMES[purpose],
                )
            )
        return token
