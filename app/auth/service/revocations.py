"""Ending a token that somebody holds in their hands."""

from __future__ import annotations

from app.audit.service import AuditLog
from app.auth.domain import KEY_START, REFRESH_START, organization_of
from app.auth.errors import TokenNotFound
from app.auth.repository import (
    OneTimeTokenRepository,
    RevocationRepository,
    SessionRepository,
)
from app.auth.service.access_tokens import AccessTokens
from app.auth.service.api_keys import ApiKeyService
from app.auth.service.secrets import Secrets
from app.auth.service.sessions import SessionService
from app.auth.service.signals import token_signal
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import NotAuthenticated
from app.kernel.ids import UserId
from app.kernel.principal import Permission, Principal


class RevocationService:
    """Revokes access tokens, refresh tokens and API keys by their text."""

    def __init__(
        self,
        work: UnitOfWork,
        revocations: RevocationRepository,
        session_rows: SessionRepository,
        one_time_tokens: OneTimeTokenRepository,
        access_tokens: AccessTokens,
        sessions: SessionService,
        keys: ApiKeyService,
        secrets: Secrets,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._revocations = revocations
        self._session_rows = session_rows
        self._one_time_tokens = one_time_tokens
        self._access_tokens = access_tokens
        self._sessions = sessions
        self._keys = keys
        self._secrets = secrets
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def revoke(self, caller: Principal, token: str, reason: str | None) -> None:
        """End *token*: one's own, or anybody's for an operator.

        An access token ends alone, a refresh token with its session, a key for ever. Ending it
        again is fine. Raises `TokenNotFound` for what is not a token, or not the caller's.
        """
        if token.startswith(KEY_START):
            await self._revoke_key(caller, token)
            return
        caller.require_person()
        if token.startswith(REFRESH_START):
            await self._revoke_family(caller, token, reason)
        else:
            await self._revoke_access_token(caller, token, reason)

    async def forget_expired(self) -> None:
        """Delete what no longer matters: sessions and tokens that ran out, and their revocations."""
        now = self._clock.now()
        async with self._work.begin_platform():
            await self._revocations.forget_expired(now)
            await self._session_rows.forget_ended(now - self._access_tokens.lifetime)
            await self._one_time_tokens.forget_expired(now)

    async def _revoke_access_token(self, caller: Principal, token: str, reason: str | None) -> None:
        try:
            claims = self._access_tokens.read_expired(token)
        except NotAuthenticated:
            raise TokenNotFound from None
        if claims.user_id != caller.user_id and not caller.is_operator:
            raise TokenNotFound
        now = self._clock.now()
        if claims.expires_at <= now:
            return
        async with self._work.begin_platform():
            await self._revocations.add(
                token_signal(claims.token_id),
                claims.user_id,
                since=now,
                expires_at=claims.expires_at,
                reason=reason,
            )
            self._audit.record(
                "tokens.revoked", claims.token_id, organization_id=None, reason=reason
            )
            await self._signals.send(self._work.session, token_signal(claims.token_id))

    async def _revoke_family(self, caller: Principal, token: str, reason: str | None) -> None:
        async with self._work.begin_platform():
            found = await self._session_rows.find_refresh_token(
                self._secrets.of_refresh_token(token)
            )
            session = await self._session_rows.find(found.session_id) if found else None
            if session is None:
                raise TokenNotFound
            owner = UserId(session.user_id)
            if owner != caller.user_id and not caller.is_operator:
                raise TokenNotFound
            await self._sessions.end(session.id, owner, reason or "revoked")

    async def _revoke_key(self, caller: Principal, token: str) -> None:
        organization_id = organization_of(token)
        found = await self._keys.find_by_secret(organization_id, token) if organization_id else None
        if found is None:
            raise TokenNotFound
        is_own = found.id == caller.api_key_id or (
            caller.api_key_id is None and found.user_id == caller.user_id
        )
        may_manage = (
            found.organization_id == caller.organization_id
            and Permission.API_KEYS_WRITE in caller.permissions
        )
        if not (is_own or may_manage or caller.is_operator):
            raise TokenNotFound
        await self._keys.delete(found.organization_id, found.id)
