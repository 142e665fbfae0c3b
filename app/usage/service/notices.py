"""Telling, once per window, that a limit is near or reached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.usage.domain import NOTICE_PERCENTS, Quota, Threshold
from app.usage.events import QuotaThresholdReached
from app.usage.repository.reading import UsageRepository

log = structlog.get_logger(__name__)

_KEPT = 100_000


class QuotaNotices:
    """Looks at quotas after each flush and announces those that crossed 80 or 100 percent.

    The counter's row remembers what was announced, so it happens once whichever process sees it;
    a process that dies before it announces leaves it to the next event.
    """

    def __init__(self, work: UnitOfWork, usage: UsageRepository) -> None:
        self._work = work
        self._usage = usage
        self._seen: set[tuple[OrganizationId, str, datetime, int]] = set()
        self._running: set[asyncio.Task[None]] = set()

    def look_at(self, quotas: Iterable[tuple[OrganizationId, Quota]]) -> None:
        """Start announcing what is new; costs nothing when nothing is."""
        for organization_id, quota in quotas:
            if not quota.limit:
                continue
            for percent in NOTICE_PERCENTS:
                if quota.used * 100 < quota.limit * percent:
                    continue
                key = (organization_id, quota.metric, quota.window.start, percent)
                if key not in self._seen:
                    if len(self._seen) > _KEPT:
                        self._seen.clear()
                    self._seen.add(key)
                    task = asyncio.create_task(self._announce(Threshold(*key)))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
                break

    async def finish(self) -> None:
        """Wait for what is being announced."""
        if self._running:
            await asyncio.gather(*self._running)

    async def _announce(self, reached: Threshold) -> None:
        try:
            async with self._work.begin(reached.organization_id):
                if await self._usage.mark_announced(reached.organization_id, reached):
                    self._work.announce(
                        QuotaThresholdReached(
                            organization_id=reached.organization_id,
                            metric=reached.metric,
                            percent=reached.percent,
                            window_start=reached.window_start,
                        )
                    )
        except (OSError, SQLAlchemyError) as error:
            self._seen.discard(
                (reached.organization_id, reached.metric, reached.window_start, reached.percent)
            )
            log.warning("usage.notice_failed", error=repr(error)[:300])
