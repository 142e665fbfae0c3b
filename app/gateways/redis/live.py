"""Counters in a real Redis."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from app.gateways.redis.gateway import CountersUnavailable, MonthCounters
from app.infra.db.unit_of_work import refuse_inside_unit
from app.infra.telemetry.metrics import GATEWAY_SECONDS

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

PREFIX = "billing:usage"
_COMPLETE = f"{PREFIX}:complete"
_TIMEOUT_SECONDS = 5.0

# A slow writer with old figures must not write over a quick one with newer ones.
_PUT = """
if tonumber(redis.call('HGET', KEYS[1], 'ticket') or '-1') <= tonumber(ARGV[1]) then
    redis.call('HSET', KEYS[1], 'ticket', unpack(ARGV))
end
"""


class LiveCounters:
    """A hash for each organization and month: `billing:usage:org_…:2026-11`."""

    def __init__(self, url: str) -> None:
        # Imported here: most deployments have no Redis and start without its library.
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._failures = (RedisError, OSError, TimeoutError)

    async def close(self) -> None:
        await self._redis.aclose()

    async def put(self, counters: Sequence[MonthCounters], ticket: int) -> None:
        refuse_inside_unit()
        pipeline = self._redis.pipeline(transaction=False)
        for each in counters:
            key = f"{PREFIX}:{each.organization}:{each.month}"
            figures = [part for pair in each.figures.items() for part in pair]
            pipeline.eval(_PUT, 1, key, str(ticket), *figures)
        await self._done("put", pipeline.execute())

    async def complete_since(self) -> str | None:
        refuse_inside_unit()
        found: str | None = await self._done("get", self._redis.get(_COMPLETE))
        return found

    async def mark_complete(self, since: str) -> None:
        refuse_inside_unit()
        await self._done("set", self._redis.set(_COMPLETE, since))

    async def _done(self, call: str, work: Awaitable[Any]) -> Any:
        started_at = time.perf_counter()
        outcome = "unavailable"
        try:
            answer = await work
            outcome = "done"
            return answer
        except self._failures as error:
            raise CountersUnavailable(reason=type(error).__name__) from error
        finally:
            GATEWAY_SECONDS.labels("redis", call, outcome).observe(time.perf_counter() - started_at)
