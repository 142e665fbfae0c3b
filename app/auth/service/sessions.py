"""Devices that are signed in: opening, refreshing, listing and ending their sessions."""

from __future__ import annotations

from datetime import timedelta

from app.audit.service import AuditLog
from app.auth.domain import Device, SessionKind, TokenPair
from app.auth.models import RefreshToken, Session
from app.auth.repository import SessionRepository
from app.auth.service.access_tokens import AccessTokens
from app.auth.service.secrets import Secrets
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import random_token
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.organizations.domain import Role

_REFRESH_START = "art_"


class SessionService:
    """Sessions and their refresh families. Methods join the unit of work around them."""

    def __init__(
        self,
        work: UnitOfWork,
        sessions: SessionRepository,
        access_tokens: AccessTokens,
        secrets: Secrets,
        lifetime: timedelta,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._secrets = secrets
        self._lifetime = lifetime
        self._audit = audit
        self._clock = clock

    async def open(
        self,
        user_id: UserId,
        organization_id: OrganizationId | None,
        role: Role | None,
        device: Device,
    ) -> TokenPair:
        """Begin a session on a device, with its first token pair."""
        async with self._work.begin_platform():
            session = self._new(user_id, organization_id, SessionKind.TOKENS, device)
            await self._work.session.flush()
            return self._pair(session, role)

    def _new(
        self,
        user_id: UserId,
        organization_id: OrganizationId | None,
        kind: SessionKind,
        device: Device,
        secret_hash: str | None = None,
    ) -> Session:
        now = self._clock.now()
        session = Session(
            id=new_id(),
            user_id=user_id,
            organization_id=organization_id,
            kind=kind.value,
            secret_hash=secret_hash,
            user_agent=device.user_agent,
            address=device.address,
            created_at=now,
            last_used_at=now,
            expires_at=now + self._lifetime,
        )
        self._sessions.add(session)
        self._audit.record(
            "sessions.opened",
            encode_id("ses", session.id),
            organization_id=None,
            after={"kind": kind, "user_agent": device.user_agent, "address": device.address},
            actor=f"user:{user_id}",
        )
        return session

    def _pair(self, session: Session, role: Role | None) -> TokenPair:
        now = self._clock.now()
        refresh_token = _REFRESH_START + random_token()
        self._sessions.add_refresh_token(
            RefreshToken(
                token_hash=self._secrets.of_refresh_token(refresh_token),
                session_id=session.id,
                created_at=now,
                expires_at=now + self._lifetime,
            )
        )
        session.expires_at = now + self._lifetime
        organization_id = (
            OrganizationId(session.organization_id) if session.organization_id else None
        )
        return TokenPair(
            access_token=self._access_tokens.issue(
                UserId(session.user_id), organization_id, role, session.id
            ),
            refresh_token=refresh_token,
            expires_in=int(self._access_tokens.lifetime.total_seconds()),
        )
