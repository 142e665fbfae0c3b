"""One count for all processes."""

import asyncio

import pytest
from sqlalchemy import URL

from app.infra.db.engine import create_engine, create_sessions
from app.infra.http.rate_limit import PostgresStorage, RateLimiter
from app.kernel.clock import ManualClock
from app.kernel.errors import LimitReached
from app.kernel.ids import new_id


async def test_two_processes_share_a_limit(database_url: URL, clock: ManualClock) -> None:
    engines = [create_engine(database_url), create_engine(database_url)]
    limiters = [
        RateLimiter(PostgresStorage(create_sessions(engine), clock), clock, enabled=True)
        for engine in engines
    ]
    name = str(new_id())

    async def hit(limiter: RateLimiter) -> bool:
        try:
            await limiter.hit("10/minute", name)
        except LimitReached as refusal:
            assert 1 <= refusal.retry_after_seconds <= 61
            return False
        return True

    passed = await asyncio.gather(*(hit(limiters[n % 2]) for n in range(40)))
    assert sum(passed) == 10
    clock.advance(seconds=61)
    assert await hit(limiters[0])
    for engine in engines:
        await engine.dispose()


async def test_switched_off_it_counts_nothing(clock: ManualClock, sessions) -> None:
    limiter = RateLimiter(PostgresStorage(sessions, clock), clock, enabled=False)
    name = str(new_id())
    for _ in range(5):
        await limiter.hit("1/hour", name)


async def test_expired_windows_are_forgotten(clock: ManualClock, sessions) -> None:
    storage = PostgresStorage(sessions, clock)
    limiter = RateLimiter(storage, clock, enabled=True)
    name = str(new_id())
    await limiter.hit("1/minute", name)
    with pytest.raises(LimitReached):
        await limiter.hit("1/minute", name)
    clock.advance(minutes=2)
    await limiter.forget_expired()
    await limiter.hit("1/minute", name)
