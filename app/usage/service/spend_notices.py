"""Telling, once per period, that spending has reached a threshold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.usage.events import SpendThresholdReached
from app.usage.repository.spend import SpendRepository

log = structlog.get_logger(__name__)

Place = tuple[OrganizationId, UUID, datetime]
"""An organization's limit, and the beginning of one of its periods."""


def places_of(text: str | None) -> list[Place]:
    """The places that the writing statement names as JSON."""
    return [
        (OrganizationId(UUID(each[0])), UUID(each[1]), datetime.fromisoformat(each[2]))
        for each in json.loads(text or "[]")
    ]


class SpendNotices:
    """Announces thresholds that were reached, whoever noticed: a flush, a hold or a correction.

    The row of the period remembers the highest fraction that was announced, so each is announced
    once whichever process sees it, and stays announced when a void takes the spending back. What a
    process that died has not announced, the next event or `announce_missed` does.
    """

    def __init__(self, work: UnitOfWork, spend: SpendRepository, clock: Clock) -> None:
        self._work = work
        self._spend = spend
        self._clock = clock
        self._running: dict[Place, asyncio.Task[None]] = {}
        self._again: set[Place] = set()

    def look_at(self, places: Iterable[Place]) -> None:
        """Start announcing; the caller does not wait. Outside any unit."""
        for place in places:
            if place in self._running:
                # The one under way may have looked before this was spent.
                self._again.add(place)
            else:
                self._running[place] = asyncio.create_task(self._look(place))

    async def finish(self) -> None:
        """Wait for what is being announced."""
        while self._running:
            await asyncio.gather(*self._running.values())

    async def announce(
        self, organization_id: OrganizationId, limit_id: UUID, period_start: datetime
    ) -> None:
        """Announce every threshold that was reached and not announced. Joins the caller's unit."""
        async with self._work.begin(organization_id):
            found = await self._spend.claim_news(organization_id, limit_id, period_start)
            if found is None:
                return
            standing, fractions = found
            for fraction in fractions:
                self._work.announce(
                    SpendThresholdReached(
                        organization_id=organization_id,
                        limit_id=limit_id,
                        period_start=period_start,
                        fraction=fraction,
                        is_highest=fraction == fractions[-1],
                        amount_usd=standing.limit.amount_usd,
                        posted=standing.posted,
                        held=standing.held,
                        is_suspended=standing.is_suspended(self._clock.now()),
                    )
                )

    async def announce_missed(self) -> int:
        """Announce what nobody has: holds that were not looked at, processes that died."""
        async with self._work.begin_platform():
            places = await self._spend.list_news_for_platform()
        for place in places:
            await self.announce(*place)
        return len(places)

    async def _look(self, place: Place) -> None:
        try:
            await self.announce(*place)
            while place in self._again:
                self._again.discard(place)
                await self.announce(*place)
        except (OSError, SQLAlchemyError) as error:
            self._again.discard(place)
            log.warning("usage.spend_notice_failed", error=repr(error)[:300])
        finally:
            del self._running[place]
