"""What was recorded, for whoever passes it on: every event and every change, at least once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from app.infra.db.locks import advisory_lock
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.usage.models import UsageEvent, UsageMonth
from app.usage.repository.feeds import FeedRepository, Named

log = structlog.get_logger(__name__)

_LEASE = timedelta(minutes=5)
_ABANDONED = timedelta(hours=24)
_NOTES = 5
_PAGE = 500


class FeedKind(StrEnum):
    """What a feed is told."""

    EVENTS = "events"
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class Notes:
    """Some notes of a feed, leased for five minutes: pass them on and settle, or release them."""

    ids: Sequence[int]
    events: Sequence[tuple[UUID, UUID]]
    months: Sequence[Named]


class UsageFeeds:
    """Feeds by name. A note stays until it is settled, so what fails is told again."""

    def __init__(self, work: UnitOfWork, feeds: FeedRepository, clock: Clock) -> None:
        self._work = work
        self._feeds = feeds
        self._clock = clock

    async def begin(self, name: str, kind: FeedKind) -> datetime | None:
        """See to it that the feed is told from now on; says since when, None if not yet.

        The second call only notes that somebody still reads it.
        """
        now = self._clock.now()
        try:
            async with self._work.begin_platform() as session:
                found = await self._feeds.find(name)
                if found is not None:
                    await self._feeds.mark_read(name, now)
                    return found.since
                await advisory_lock(session, "usage", "feeds")
                found = await self._feeds.find(name)
                if found is None:
                    await self._feeds.begin(name, now, events=kind is FeedKind.EVENTS)
                    log.info("usage.feed_begun", feed=name)
                return found.since if found is not None else now
        except DBAPIError as error:
            if "lock timeout" not in str(error.orig):
                raise
            log.warning("usage.feed_postponed", feed=name)
            return None

    async def end_if_abandoned(self, name: str) -> bool:
        """Stop noting for a feed that nobody has read for a day, and forget its notes.

        Not at once: a worker that was started without its settings must not lose anything.
        """
        async with self._work.begin_platform():
            found = await self._feeds.find(name)
            if found is None or found.read_at > self._clock.now() - _ABANDONED:
                return False
            left = await self._feeds.count(name)
            await self._feeds.end(name)
        log.warning("usage.feed_ended", feed=name, forgotten_notes=left)
        return True

    async def claim(self, name: str) -> Notes | None:
        """The next notes, oldest first, that nobody else works on; None if there are none."""
        now = self._clock.now()
        async with self._work.begin_platform():
            notes = await self._feeds.claim(name, now, now + _LEASE, _NOTES)
        if not notes:
            return None
        months = {
            (OrganizationId(organization_id), month)
            for note in notes
            for organization_id, month in zip(
                note.organization_ids, note.months or (), strict=False
            )
        }
        return Notes(
            [note.id for note in notes],
            [
                pair
                for note in notes
                for pair in zip(note.organization_ids, note.event_ids or (), strict=False)
            ],
            sorted(months),
        )

    async def settle(self, notes: Notes) -> None:
        """They were passed on. Joins the caller's unit."""
        async with self._work.begin_platform():
            await self._feeds.forget(notes.ids)

    async def release(self, notes: Notes) -> None:
        """They were not passed on; anybody may try."""
        async with self._work.begin_platform():
            await self._feeds.release(notes.ids)

    async def events(self, named: Sequence[tuple[UUID, UUID]]) -> list[UsageEvent]:
        async with self._work.begin_platform():
            return await self._feeds.events(named)

    async def waiting_events(self, name: str, organization_id: OrganizationId) -> list[UsageEvent]:
        """One organization's events that were recorded and not passed on yet."""
        async with self._work.begin_platform():
            named = await self._feeds.waiting_of(name, organization_id)
            return await self._feeds.events(named)

    async def months(self, named: Sequence[Named]) -> tuple[int, list[UsageMonth]]:
        """Months as they are now, and a ticket: figures read later have a larger one.

        The ticket is taken in a commit of its own before the figures are read. Whatever changes
        after that is noted, and whoever passes that note on takes a later ticket.
        """
        ticket = await self._ticket()
        async with self._work.begin_platform():
            return ticket, await self._feeds.months(named)

    async def months_after(self, last: Named | None) -> tuple[int, list[UsageMonth]]:
        """A page of every month there is, as `months`."""
        ticket = await self._ticket()
        async with self._work.begin_platform():
            return ticket, await self._feeds.months_after(last, _PAGE)

    async def _ticket(self) -> int:
        async with self._work.begin_platform():
            return await self._feeds.take_ticket()
