"""Monthly partitions of `usage_events`, made before they are needed."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError

from app.infra.db.locks import advisory_lock
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.periods import Period, calendar_month, plus_months
from app.usage.domain import OLDEST
from app.usage.repository.partitions import PartitionRepository

log = structlog.get_logger(__name__)

_AHEAD_MONTHS = 2

MOVED_AT_MOST = 200_000
"""More rows than this would keep those who write to the default partition waiting for too long."""


class Partitions:
    """Sees to it that every month an event may come from has a partition of its own.

    The default partition takes what an operator backfills from further back, and everything while
    partitions are missing: no event is refused for want of one.
    """

    def __init__(self, work: UnitOfWork, partitions: PartitionRepository, clock: Clock) -> None:
        self._work = work
        self._partitions = partitions
        self._clock = clock

    async def make(self) -> int:
        """Make what is missing, from the oldest accepted month to two ahead; returns how many.

        A month that cannot be made now is left to the default partition, with a line in the log.
        """
        made = 0
        now = self._clock.now()
        for month in _months(calendar_month(now - OLDEST).start, plus_months(now, _AHEAD_MONTHS)):
            try:
                made += await self._make(month)
            except DBAPIError as error:
                if "lock timeout" not in str(error.orig):
                    raise
                log.warning("usage.partition_postponed", month=f"{month.start:%Y-%m}")
        return made

    async def _make(self, month: Period) -> bool:
        async with self._work.begin_platform() as session:
            await advisory_lock(session, "usage", "partitions")
            if await self._partitions.exists(month):
                return False
            if await self._partitions.waiting(month, MOVED_AT_MOST) > MOVED_AT_MOST:
                log.error(
                    "usage.partition_skipped",
                    month=f"{month.start:%Y-%m}",
                    reason="the default partition holds too many of its events",
                )
                return False
            await self._partitions.give_up_soon()
            await self._partitions.add_month(month)
            return True


def _months(first: datetime, until: datetime) -> list[Period]:
    found = []
    start = first
    while start <= until:
        found.append(calendar_month(start))
        start = found[-1].end
    return found
