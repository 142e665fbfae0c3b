"""Devices that are signed in: opening, refreshing, listing and ending their sessions."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from app.audit.service import AuditLog
from app.auth import domain
from app.auth.domain import REFRESH_START, BrowserSession, Device, SessionKind, TokenPair
from app.auth.errors import InvalidRefreshToken, SessionNotFound
from app.auth.models import RefreshToken, Session
from app.auth.repository import RevocationRepository, SessionRepository
from app.auth.service.access_tokens import AccessTokens
from app.auth.service.secrets import Secrets
from app.auth.service.signals import session_signal
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import random_token
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.organizations.domain import Role
from app.users.service import actor_of, user_signal


class SessionService:
    """Sessions and their refresh families. Methods join the unit of work around them."""

    def __init__(
        self,
        work: UnitOfWork,
        sessions: SessionRepository,
        revocations: RevocationRepository,
        access_tokens: AccessTokens,
        secrets: Secrets,
        lifetime: timedelta,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._sessions = sessions
        self._revocations = revocations
        self._access_tokens = access_tokens
        self._secrets = secrets
        self._lifetime = lifetime
        self._audit = audit
        self._signals = signals
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
            await self._sessions.flush()
            return self._pair(session, role)

    async def open_in_browser(
        self, user_id: UserId, organization_id: OrganizationId | None, device: Device
    ) -> BrowserSession:
        """Begin a session that a cookie carries."""
        cookie = random_token()
        async with self._work.begin_platform():
            session = self._new(
                user_id,
                organization_id,
                SessionKind.BROWSER,
                device,
                self._secrets.of_cookie(cookie),
            )
        return BrowserSession(cookie, self._secrets.csrf_token(cookie), session.expires_at)

    async def redeem(self, refresh_token: str) -> domain.Session | None:
        """Use up a refresh token; None when it had been used before, and its family has ended.

        The caller raises `RefreshTokenReused` for None once its unit has committed, so that the
        end of the family stays. Raises `InvalidRefreshToken` for anything else that is refused.
        """
        now = self._clock.now()
        token_hash = self._secrets.of_refresh_token(refresh_token)
        async with self._work.begin_platform():
            known = await self._sessions.find_refresh_token(token_hash)
            # The session's row is the lock of the whole family: of two racing uses of one token
            # the second waits here and then sees that it comes second.
            session = await self._sessions.claim(known.session_id) if known else None
            token = await self._sessions.claim_refresh_token(token_hash) if session else None
            if session is None or token is None or not session.is_live(now):
                raise InvalidRefreshToken
            if token.used_at is not None:
                await self._end(
                    session, "refresh_token_reused", actor=actor_of(UserId(session.user_id))
                )
                return None
            if token.expires_at <= now:
                raise InvalidRefreshToken
            token.used_at = now
            session.last_used_at = now
            return session.to_domain()

    async def go_on(
        self, session_id: UUID, organization_id: OrganizationId | None, role: Role | None
    ) -> TokenPair:
        """The next pair of a session whose refresh token has just been redeemed."""
        async with self._work.begin_platform():
            session = await self._sessions.get(session_id)
            session.organization_id = organization_id
            return self._pair(session, role)

    async def move(self, session_id: UUID, organization_id: OrganizationId) -> None:
        """Turn a browser's session to another organization of its person."""
        async with self._work.begin_platform():
            session = await self._sessions.get(session_id)
            session.organization_id = organization_id
            await self._signals.send(self._work.session, session_signal(session_id))

    async def list_for_user(self, user_id: UserId, request: PageRequest) -> Page[domain.Session]:
        """The devices on which someone is signed in, the latest first."""
        async with self._work.begin_platform():
            page = await self._sessions.list_live_for_user(user_id, self._clock.now(), request)
            return page.map(lambda session: session.to_domain())

    async def end(self, session_id: UUID, user_id: UserId, reason: str) -> None:
        """End one's own session: its access tokens and its refresh family die with it.

        Ending it again changes nothing. Raises `SessionNotFound` for somebody else's.
        """
        async with self._work.begin_platform():
            session = await self._sessions.claim(session_id)
            if session is None or session.user_id != user_id:
                raise SessionNotFound
            await self._end(session, reason)

    async def end_all(self, user_id: UserId, reason: str, *, but: UUID | None = None) -> None:
        """End every session of a person, or every *but* one.

        Without an exception, also one that is being opened at this moment by a racing sign-in.
        """
        now = self._clock.now()
        async with self._work.begin_platform():
            await self._sessions.revoke_all_of_user(user_id, now, reason, but=but)
            if but is None:
                await self._revocations.add(
                    user_signal(user_id),
                    user_id,
                    since=now,
                    expires_at=now + max(self._lifetime, self._access_tokens.lifetime),
                    reason=reason,
                )
            self._audit.record(
                "sessions.all_ended",
                encode_id("usr", user_id),
                organization_id=None,
                after={"except": encode_id("ses", but) if but else None},
                reason=reason,
            )
            await self._signals.send(self._work.session, user_signal(user_id))

    async def _end(self, session: Session, reason: str, actor: str | None = None) -> None:
        if session.revoked_at is not None:
            return
        session.revoked_at = self._clock.now()
        session.revoked_reason = reason
        self._audit.record(
            "sessions.ended",
            encode_id("ses", session.id),
            organization_id=None,
            reason=reason,
            actor=actor,
        )
        await self._signals.send(self._work.session, session_signal(session.id))

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
            actor=actor_of(user_id),
        )
        return session

    def _pair(self, session: Session, role: Role | None) -> TokenPair:
        now = self._clock.now()
        refresh_token = REFRESH_START + random_token()
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
