"""`Idempotency-Key`: one effect and one answer for a key, however often it is sent (rule 12).

Same key and same body → the first answer again, with `Idempotent-Replayed: true`. Same key, other
body → 409. While the first still runs → 409 with `Retry-After`. Only successes are kept: after an
answered failure the key is free again, because the caller knows that it failed.

A process killed between its commit and its answer leaves a key that is marked as *effective* by
the very transaction that had the effect; such a key answers 409 `idempotency_outcome_unknown`
instead of running twice. Answers are stored encrypted: some of them show a secret once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import LargeBinary, delete, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable
from app.infra.db.engine import Sessions
from app.infra.http.principal import credentials_of, current_principal
from app.infra.http.provide import Services
from app.infra.security.secret import SigningSecret
from app.kernel.clock import Clock
from app.kernel.errors import Conflict, Malformed

HEADER = "idempotency-key"
KEPT = timedelta(hours=48)
LEASE = timedelta(seconds=60)
_MAX_KEY_LENGTH = 255


class IdempotencyKeyMalformed(Malformed):
    """An Idempotency-Key has 1 to 255 printable ASCII characters."""

    code = "idempotency_key_malformed"


class IdempotencyKeyReused(Conflict):
    """This Idempotency-Key came with another request before; use a new key."""

    code = "idempotency_key_reused"


class IdempotencyInProgress(Conflict):
    """The first request with this Idempotency-Key is still running; ask again shortly."""

    code = "idempotency_in_progress"


class IdempotencyOutcomeUnknown(Conflict):
    """The first request with this key took effect, but its answer was lost. Look up what it
    created, and use a new key for anything more."""

    code = "idempotency_outcome_unknown"


class IdempotencyKey(PlatformTable):
    """A key that a caller sent. Platform table: registration has a key before any tenant."""

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    leased_until: Mapped[datetime]
    is_effective: Mapped[bool]
    status: Mapped[int | None]
    media_type: Mapped[str | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class _Claim:
    caller: str
    key: str


_claim: ContextVar[_Claim | None] = ContextVar("idempotency_claim", default=None)


async def mark_effective(session: AsyncSession) -> None:
    """Before a commit: note in the same transaction that this request's key had an effect."""
    claim = _claim.get()
    if claim is not None:
        await session.execute(
            update(IdempotencyKey)
            .where(IdempotencyKey.caller == claim.caller, IdempotencyKey.key == claim.key)
            .values(is_effective=True)
        )


class IdempotencyKeys:
    """Claims, finishes and releases keys; each step is a short transaction of its own."""

    def __init__(self, sessions: Sessions, clock: Clock, secret: SigningSecret) -> None:
        self._sessions = sessions
        self._clock = clock
        key = secret.derive("idempotency-answers")
        self._box = Fernet(base64.urlsafe_b64encode(key))

    async def claim(self, caller: str, key: str, fingerprint: bytes) -> Response | None:
        """Take the key, or return the stored answer. Raises the three conflicts above."""
        now = self._clock.now()
        async with self._sessions() as session, session.begin():
            fresh = await session.execute(
                insert(IdempotencyKey)
                .values(
                    caller=caller,
                    key=key,
                    fingerprint=fingerprint,
                    leased_until=now + LEASE,
                    is_effective=False,
                    created_at=now,
                )
                .on_conflict_do_nothing()
                .returning(IdempotencyKey.key)
            )
            if fresh.scalar_one_or_none() is not None:
                return None
            known = await session.get_one(IdempotencyKey, (caller, key), with_for_update=True)
            if known.fingerprint != fingerprint:
                raise IdempotencyKeyReused
            if known.status is not None:
                return self._replay(known)
            if known.leased_until > now:
                raise IdempotencyInProgress(retry_after_seconds=1)
            if known.is_effective:
                raise IdempotencyOutcomeUnknown
            known.leased_until = now + LEASE
            return None

    async def finish(self, caller: str, key: str, response: Response) -> None:
        async with self._sessions() as session, session.begin():
            await session.execute(
                update(IdempotencyKey)
                .where(IdempotencyKey.caller == caller, IdempotencyKey.key == key)
                .values(
                    status=response.status_code,
                    media_type=response.headers.get("content-type"),
                    body=self._box.encrypt(bytes(response.body)),
                )
            )

    async def release(self, caller: str, key: str) -> None:
        async with self._sessions() as session, session.begin():
            await session.execute(
                delete(IdempotencyKey).where(
                    IdempotencyKey.caller == caller,
                    IdempotencyKey.key == key,
                    IdempotencyKey.status.is_(None),
                )
            )

    async def forget_old(self) -> int:
        """Delete keys older than 48 hours; returns how many."""
        async with self._sessions() as session, session.begin():
            gone = await session.execute(
                text("delete from idempotency_keys where created_at < :before"),
                {"before": self._clock.now() - KEPT},
            )
            return int(getattr(gone, "rowcount", 0))

    def _replay(self, known: IdempotencyKey) -> Response:
        try:
            body = self._box.decrypt(known.body or b"")
        except InvalidToken:
            # The secret was replaced since; the effect stands and must not happen again.
            raise IdempotencyOutcomeUnknown from None
        return Response(
            body,
            known.status or 200,
            headers={"Idempotent-Replayed": "true"},
            media_type=known.media_type,
        )


class IdempotentRoute(APIRoute):
    """A route whose POST honours `Idempotency-Key`: `APIRouter(route_class=IdempotentRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()
        if "POST" not in (self.methods or ()):
            return plain

        async def handle(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return await plain(request)
            if not (1 <= len(key) <= _MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
                raise IdempotencyKeyMalformed
            services: Services = request.app.state.services
            keys = services[IdempotencyKeys]
            caller = await _caller(request)
            replay = await keys.claim(caller, key, await _fingerprint(request))
            if replay is not None:
                return replay
            token = _claim.set(_Claim(caller, key))
            try:
                response = await plain(request)
            except BaseException:
                await keys.release(caller, key)
                raise
            finally:
                _claim.reset(token)
            if response.status_code < 300:
                await keys.finish(caller, key, response)
            else:
                await keys.release(caller, key)
            return response

        return handle


async def _caller(request: Request) -> str:
    credentials = credentials_of(request)
    if not (credentials.bearer or credentials.api_key or credentials.cookie):
        return "anonymous"
    principal = await current_principal(request)
    return f"{principal.actor}@{principal.organization_id}"


async def _fingerprint(request: Request) -> bytes:
    digest = hashlib.sha256()
    for part in (request.method, request.url.path, request.url.query):
        digest.update(part.encode() + b"\0")
    digest.update(await request.body())
    return digest.digest()
