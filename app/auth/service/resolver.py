"""Who sent this request: the one answer that every router relies on."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from functools import partial

from app.audit.service import now_acting
from app.auth.domain import API_ACCESS, KEY_START, Claims, organization_of
from app.auth.errors import (
    AccountSuspended,
    CsrfRefused,
    KeysNotInPlan,
    TokenRevoked,
)
from app.auth.models import Session
from app.auth.repository import ApiKeyRepository, RevocationRepository, SessionRepository
from app.auth.service.access_tokens import AccessTokens
from app.auth.service.principal_cache import REMEMBERED, Entry, PrincipalCache
from app.auth.service.secrets import Secrets
from app.auth.service.signals import key_signal, session_signal, token_signal
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.principal import Credentials
from app.kernel.clock import Clock
from app.kernel.errors import NotAuthenticated
from app.kernel.ids import OrganizationId, UserId
from app.kernel.principal import OrganizationSuspended, Permission, Principal, TokenType
from app.organizations.service import OrganizationService, organization_signal
from app.users.domain import Person
from app.users.service import UserService, user_signal

_KEY_START = KEY_START.encode()
# No header has a line break, so what is sent as a token is never taken for a cookie.
_COOKIE = b"cookie\n"


class Resolver:
    """Verifies bearer tokens, API keys and browser cookies.

    A caller seen within the last minute costs no query; see `PrincipalCache` for why that is safe.
    """

    def __init__(
        self,
        work: UnitOfWork,
        sessions: SessionRepository,
        revocations: RevocationRepository,
        keys: ApiKeyRepository,
        users: UserService,
        organizations: OrganizationService,
        access_tokens: AccessTokens,
        secrets: Secrets,
        cache: PrincipalCache,
        clock: Clock,
    ) -> None:
        self._work = work
        self._sessions = sessions
        self._revocations = revocations
        self._keys = keys
        self._users = users
        self._organizations = organizations
        self._access_tokens = access_tokens
        self._secrets = secrets
        self._cache = cache
        self._clock = clock
        self._running: dict[tuple[bytes, int], asyncio.Future[Entry]] = {}

    async def resolve(self, credentials: Credentials) -> Principal:
        """Raises `NotAuthenticated` and its kin, or `NotAllowed` for keys and cookies refused."""
        if credentials.bearer is not None:
            if credentials.bearer.startswith(KEY_START):
                entry = await self._key(credentials.bearer)
            else:
                entry = await self._token(credentials.bearer)
        elif credentials.api_key is not None:
            entry = await self._key(credentials.api_key)
        elif credentials.cookie is not None:
            entry = await self._cookie(credentials.cookie)
            if not credentials.is_safe_method:
                _check_csrf(entry, credentials.csrf_token)
        else:
            raise NotAuthenticated
        now_acting(entry.actor)
        return entry.principal

    def fingerprint(self, bearer: bytes) -> bytes:
        return hashlib.sha256(bearer).digest()

    def fingerprint_of_key(self, key: bytes) -> bytes | None:
        return self.fingerprint(key) if key.startswith(_KEY_START) else None

    def recall(self, fingerprint: bytes) -> Principal | None:
        """Whom `resolve` would answer for what has this fingerprint, if that needs no query."""
        entry = self._cache.find(fingerprint, self._clock.now())
        if entry is None:
            return None
        now_acting(entry.actor)
        return entry.principal

    async def _token(self, token: str) -> Entry:
        fingerprint = self.fingerprint(token.encode())
        known = self._cache.find(fingerprint, self._clock.now())
        if known is not None:
            return known
        claims = self._access_tokens.read(token)
        return await self._once(fingerprint, partial(self._look_up_token, fingerprint, claims))

    async def _look_up_token(self, fingerprint: bytes, claims: Claims) -> Entry:
        generation = self._cache.generation
        now = self._clock.now()
        all_of_user, only_this = f"user:{claims.user_id}", f"token:{claims.token_id}"
        async with self._work.begin_platform():
            session = await self._sessions.find(claims.session_id)
            revoked = await self._revocations.find(all_of_user, only_this)
            if session is None or not session.is_live(now) or session.user_id != claims.user_id:
                raise TokenRevoked
            since = revoked.get(all_of_user)
            if only_this in revoked or (since is not None and session.created_at < since.since):
                raise TokenRevoked
            principal = await self._person_in(
                claims.user_id, claims.organization_id, "access", session, claims.token_id
            )
            await self._sessions.touch(session.id, now)
        entry = Entry(
            principal=principal,
            actor=principal.actor,
            valid_until=min(claims.expires_at, session.expires_at, now + REMEMBERED),
            signals=(
                token_signal(claims.token_id),
                session_signal(session.id),
                *_signals_of(principal),
            ),
        )
        self._cache.remember(fingerprint, entry, generation)
        return entry

    async def _cookie(self, cookie: str) -> Entry:
        fingerprint = hashlib.sha256(_COOKIE + cookie.encode()).digest()
        known = self._cache.find(fingerprint, self._clock.now())
        if known is not None:
            return known
        return await self._once(fingerprint, partial(self._look_up_cookie, fingerprint, cookie))

    async def _look_up_cookie(self, fingerprint: bytes, cookie: str) -> Entry:
        generation = self._cache.generation
        now = self._clock.now()
        async with self._work.begin_platform():
            session = await self._sessions.find_by_secret(self._secrets.of_cookie(cookie))
            if session is None or not session.is_live(now):
                raise TokenRevoked
            all_of_user = f"user:{session.user_id}"
            since = (await self._revocations.find(all_of_user)).get(all_of_user)
            if since is not None and session.created_at < since.since:
                raise TokenRevoked
            principal = await self._person_in(
                UserId(session.user_id),
                OrganizationId(session.organization_id) if session.organization_id else None,
                "session",
                session,
                None,
            )
            await self._sessions.touch(session.id, now)
        entry = Entry(
            principal=principal,
            actor=principal.actor,
            valid_until=min(session.expires_at, now + REMEMBERED),
            signals=(session_signal(session.id), *_signals_of(principal)),
            csrf_token=self._secrets.csrf_token(cookie),
        )
        self._cache.remember(fingerprint, entry, generation)
        return entry

    async def _key(self, key: str) -> Entry:
        if not key.startswith(KEY_START):
            # An access token is one only as a Bearer token.
            raise NotAuthenticated
        fingerprint = hashlib.sha256(key.encode()).digest()
        known = self._cache.find(fingerprint, self._clock.now())
        if known is not None:
            return known
        organization_id = organization_of(key)
        if organization_id is None:
            raise NotAuthenticated
        look_up = partial(self._look_up_key, fingerprint, key, organization_id)
        return await self._once(fingerprint, look_up)

    async def _look_up_key(
        self, fingerprint: bytes, key: str, organization_id: OrganizationId
    ) -> Entry:
        generation = self._cache.generation
        now = self._clock.now()
        async with self._work.begin(organization_id):
            found = await self._keys.find_by_hash(organization_id, self._secrets.of_key(key))
            if found is None or not found.is_live(now):
                raise TokenRevoked
            person = await self._person(UserId(found.user_id))
            access = await self._organizations.find_access(organization_id, person.id)
            if access is None:
                raise TokenRevoked
            if access.is_suspended:
                raise OrganizationSuspended
            if API_ACCESS not in access.features:
                raise KeysNotInPlan(feature=API_ACCESS)
            await self._keys.touch(organization_id, found.id, now)
        # Never an operator: a key is for one organization's programs.
        principal = Principal(
            user_id=person.id,
            organization_id=organization_id,
            role=access.role.value,
            permissions=access.permissions & {Permission(scope) for scope in found.scopes},
            is_operator=False,
            token_type="api_key",  # noqa: S106
            api_key_id=found.id,
            email=person.email,
        )
        entry = Entry(
            principal=principal,
            actor=principal.actor,
            valid_until=min(found.expires_at or now + REMEMBERED, now + REMEMBERED),
            signals=(key_signal(found.id), *_signals_of(principal)),
        )
        self._cache.remember(fingerprint, entry, generation)
        return entry

    async def _once(self, fingerprint: bytes, look_up: Callable[[], Awaitable[Entry]]) -> Entry:
        """One look-up for everybody who presents the same at the same time.

        Nobody joins a look-up from before a signal, nor any while signals cannot be heard: it may
        have read what somebody has revoked since.
        """
        if not self._cache.is_hearing:
            return await look_up()
        place = (fingerprint, self._cache.generation)
        running = self._running.get(place)
        if running is None:
            running = self._running[place] = asyncio.ensure_future(look_up())
            running.add_done_callback(lambda _: self._running.pop(place, None))
        # Whoever goes away does not take the others' look-up along.
        return await asyncio.shield(running)

    async def _person(self, user_id: UserId) -> Person:
        person = await self._users.find(user_id)
        if person is None:
            raise TokenRevoked
        if person.is_suspended:
            raise AccountSuspended
        return person

    async def _person_in(
        self,
        user_id: UserId,
        organization_id: OrganizationId | None,
        token_type: TokenType,
        session: Session,
        token_id: str | None,
    ) -> Principal:
        person = await self._person(user_id)
        access = None
        if organization_id is not None:
            access = await self._organizations.find_access(organization_id, person.id)
            if access is None:
                raise TokenRevoked
        return Principal(
            user_id=person.id,
            organization_id=organization_id,
            role=access.role.value if access else None,
            permissions=access.permissions if access else frozenset(),
            withheld=access.withheld if access else frozenset(),
            is_operator=person.is_operator,
            token_type=token_type,
            session_id=session.id,
            token_id=token_id,
            email=person.email,
        )


def _signals_of(principal: Principal) -> tuple[str, ...]:
    signals = [user_signal(principal.user_id)]
    if principal.organization_id is not None:
        signals.append(organization_signal(principal.organization_id))
    return tuple(signals)


def _check_csrf(entry: Entry, given: str | None) -> None:
    expected = entry.csrf_token or ""
    if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
        raise CsrfRefused
