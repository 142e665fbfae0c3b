"""Rate limits that all processes share, in Postgres, by the `limits` library.

Counters live in an unlogged table: a crash forgets them, which costs a guesser one extra window.
Spent on what can be guessed or is dear (sign-in, registration, mail, checkout); metering has its
own bound, the queue in front of the database.
"""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request
from limits import parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable
from app.infra.db.engine import Sessions
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.kernel.errors import LimitReached


class RateLimitCounter(PlatformTable):
    """Hits in a window. Platform table: an address has no tenant before it signs in."""

    __tablename__ = "rate_limits"
    __table_args__ = {"prefixes": ["UNLOGGED"]}

    key: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    expires_at: Mapped[float]


class PostgresStorage(Storage):
    """`limits` on the table above, by the service's own clock."""

    STORAGE_SCHEME = None

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        super().__init__()
        self._sessions = sessions
        self._clock = clock

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = self._clock.now().timestamp()
        async with self._sessions() as session, session.begin():
            hits = await session.scalar(
                text(
                    "insert into rate_limits as r (key, hits, expires_at)"
                    " values (:key, :amount, :until)"
                    " on conflict (key) do update set"
                    " hits = case when r.expires_at <= :now then :amount else r.hits + :amount end,"
                    " expires_at = case when r.expires_at <= :now then :until"
                    " else r.expires_at end"
                    " returning hits"
                ),
                {"key": key, "amount": amount, "until": now + expiry, "now": now},
            )
        return int(hits or 0)

    async def get(self, key: str) -> int:
        found = await self._read(key)
        return found[0] if found else 0

    async def get_expiry(self, key: str) -> float:
        found = await self._read(key)
        return found[1] if found else self._clock.now().timestamp()

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        async with self._sessions() as session, session.begin():
            await session.execute(text("delete from rate_limits"))
        return None

    async def clear(self, key: str) -> None:
        async with self._sessions() as session, session.begin():
            await session.execute(text("delete from rate_limits where key = :key"), {"key": key})

    async def forget_expired(self) -> None:
        async with self._sessions() as session, session.begin():
            await session.execute(
                text("delete from rate_limits where expires_at <= :now"),
                {"now": self._clock.now().timestamp()},
            )

    async def _read(self, key: str) -> tuple[int, float] | None:
        async with self._sessions() as session, session.begin():
            row = (
                await session.execute(
                    text(
                        "select hits, expires_at from rate_limits"
                        " where key = :key and expires_at > :now"
                    ),
                    {"key": key, "now": self._clock.now().timestamp()},
                )
            ).one_or_none()
        return (int(row[0]), float(row[1])) if row else None


class RateLimiter:
    """Counts hits by name. `limit` is in the library's words: `10/minute`."""

    def __init__(self, storage: PostgresStorage, clock: Clock, *, enabled: bool) -> None:
        self._storage = storage
        self._strategy = FixedWindowRateLimiter(storage)
        self._clock = clock
        self._enabled = enabled

    async def hit(self, limit: str, *name: str) -> None:
        """Raises `LimitReached` with the seconds to wait once the window is full."""
        if not self._enabled:
            return
        item = parse(limit)
        if await self._strategy.hit(item, *name):
            return
        until = await self._storage.get_expiry(item.key_for(*name))
        wait = max(1, int(until - self._clock.now().timestamp()) + 1)
        raise LimitReached(retry_after_seconds=wait)

    async def forgive(self, limit: str, *name: str) -> None:
        """Forget the hits of *name* in this window."""
        if self._enabled:
            await self._storage.clear(parse(limit).key_for(*name))

    async def forget_expired(self) -> None:
        await self._storage.forget_expired()


def client_address(request: Request) -> str:
    """The peer's address; behind a trusted proxy, uvicorn has already put the client's there."""
    return request.client.host if request.client else "unknown"


def limited_by_address(limit: str, name: str) -> Any:
    """A dependency: at most *limit* requests of *name* from one address."""

    async def check(request: Request) -> None:
        services: Services = request.app.state.services
        await services[RateLimiter].hit(limit, name, client_address(request))

    return Depends(check)
