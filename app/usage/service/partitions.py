"""Monthly partitions of `usage_events`, made before they are needed."""

from __future__ import annotations

from datetime import datetime

from app.infra.db.locks import advisory_lock
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.periods import Period, calendar_month, plus_months
from app.usage.domain import OLDEST
from app.usage.repository.partitions import PartitionRepository

_AHEAD_MONTHS = 2


class Partitions:
    """Sees to it that every month an event may come from has a partition of its own.

    The default partition takes what an operator backfills from further back.
    """

    def __init__(self, work: UnitOfWork, partitions: PartitionRepository, clock: Clock) -> None:
        self._work = work
        self._partitions = partitions
        self._clock = clock

    async def make(self) -> int:
        """Make what is missing, from the oldest accepted month to two ahead; returns how many."""
        made = 0
        now = self._clock.now()
        for month in _months(calendar_month(now - OLDEST).start, plus_months(now, _AHEAD_MONTHS)):
            async with self._work.begin_platform() as session:
                await advisory_lock(session, "usage", "partitions")
                if not await self._partitions.exists(month):
                    await self._partitions.add_month(month)
                    made += 1
        return made


def _months(first: datetime, until: datetime) -> list[Period]:
    found = []
    start = first
    while start <= until:
        found.append(calendar_month(start))
        start = found[-1].end
    return found
