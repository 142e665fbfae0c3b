"""Old hours take the room of days."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.usage.kept import DAY, EARLIEST, folded_before
from app.usage.repository.folding import FoldingRepository

log = structlog.get_logger(__name__)

_RECENT = timedelta(days=30)
_ORGANIZATIONS_AT_ONCE = 500


class Folding:
    """Folds hours that nobody may ask for any more into days.

    Each day of an organization is a unit of its own: a job that is killed has folded what it has
    folded, and the next one goes on. What a late void or a backfill writes by the hour afterwards
    is folded by a later run, and sums are right meanwhile.
    """

    def __init__(self, work: UnitOfWork, hours: FoldingRepository, clock: Clock) -> None:
        self._work = work
        self._hours = hours
        self._clock = clock

    async def fold_recent(self) -> int:
        """Fold the days that came of age in the last month; returns how many."""
        until = folded_before(self._clock.now())
        return await self._fold(until - _RECENT, until)

    async def fold_all(self) -> int:
        """Fold every day that is of age, however old; returns how many."""
        return await self._fold(EARLIEST, folded_before(self._clock.now()))

    async def _fold(self, since: datetime, until: datetime) -> int:
        folded = 0
        last: UUID | None = None
        while True:
            async with self._work.begin_platform():
                found = await self._hours.organizations_after_for_platform(
                    last, _ORGANIZATIONS_AT_ONCE
                )
            if not found:
                break
            for organization_id in found:
                async with self._work.begin(organization_id):
                    days = await self._hours.days(organization_id, since, until)
                for day in days:
                    async with self._work.begin(organization_id):
                        await self._hours.fold(organization_id, day, day + DAY)
                folded += len(days)
            last = found[-1]
        if folded:
            log.info("usage.folded", days=folded, before=until.isoformat())
        return folded
