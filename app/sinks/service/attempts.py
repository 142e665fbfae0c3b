"""When a sink is tried, and how long it is left alone after it has failed."""

from __future__ import annotations

from datetime import timedelta

import structlog

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.sinks.repository import SinkRepository

log = structlog.get_logger(__name__)

_FIRST = timedelta(seconds=30)
_LONGEST = timedelta(minutes=30)


class Attempts:
    """The same for every sink: twice as long after each failure, half an hour at most."""

    def __init__(self, work: UnitOfWork, sinks: SinkRepository, clock: Clock) -> None:
        self._work = work
        self._sinks = sinks
        self._clock = clock

    async def is_due(self, sink: str) -> bool:
        async with self._work.begin_platform():
            found = await self._sinks.get_or_add(sink)
            return found.next_attempt_at is None or found.next_attempt_at <= self._clock.now()

    async def succeeded(self, sink: str) -> None:
        """Joins the caller's unit."""
        async with self._work.begin_platform():
            await self._sinks.mark_delivered(sink, self._clock.now())

    async def failed(self, sink: str, failure: Unavailable) -> None:
        async with self._work.begin_platform():
            found = await self._sinks.get_or_add(sink)
            failures = found.failures + 1
            wait = min(_FIRST * 2 ** min(failures - 1, 10), _LONGEST)
            await self._sinks.mark_failed(sink, failures, failure.message, self._clock.now() + wait)
        log.warning(
            "sinks.unavailable",
            sink=sink,
            failures=failures,
            wait=wait.total_seconds(),
            reason=failure.message,
        )
