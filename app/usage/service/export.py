"""Everything an organization recorded, handed out a page at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.export_places import ExportPlace, ExportPlaces
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.usage.domain import NEWEST, EventFilter
from app.usage.repository.listing import ListingRepository
from app.usage.service.archive import ArchivedMonths

Rows = Sequence[Mapping[Any, Any]]
Piece = tuple[Rows, UUID | None]

PAGE_ROWS = 500
AT_ONCE = 4
_AT_ONCE_EACH = 2
_RETRY_SECONDS = 15


class Export:
    """One export under way. Whoever opened it closes it, or its place stays taken."""

    def __init__(
        self,
        exports: UsageExports,
        place: ExportPlace,
        organization_id: OrganizationId,
        shown: EventFilter,
    ) -> None:
        self._exports = exports
        self._place = place
        self._organization_id = organization_id
        self._shown = shown
        self._first: Piece = ((), None)

    async def begin(self) -> None:
        """Read the first page, so that a refusal is told before the answer has begun."""
        await self._exports.refuse_archived(self._organization_id, self._shown)
        self._first = await self._exports.page(self._organization_id, self._shown, None)

    async def pages(self) -> AsyncGenerator[Rows, None]:
        """The events, oldest first. Nothing is held between two pages."""
        rows, last = self._first
        while True:
            if rows:
                yield rows
            if last is None:
                return
            rows, last = await self._exports.page(self._organization_id, self._shown, last)

    def close(self) -> None:
        """Give the place back. The second call does nothing."""
        self._place.leave()


class UsageExports:
    """Exports of a process: few at a time, so that they leave the pool to everybody else.

    Each page is a unit of its own. A cursor would hold a connection and a snapshot for as long as
    the slowest client reads, and keep VACUUM from the counters meanwhile. Events are never edited
    and ids order them by when they happened, so pages add up to the same; what is recorded or
    voided during an export may be in it or not.
    """

    def __init__(
        self,
        work: UnitOfWork,
        events: ListingRepository,
        archived: ArchivedMonths,
        clock: Clock,
    ) -> None:
        self._work = work
        self._archived = archived
        self._events = events
        self._clock = clock
        self._places = ExportPlaces(
            in_all=AT_ONCE, each=_AT_ONCE_EACH, retry_seconds=_RETRY_SECONDS
        )

    async def open(self, organization_id: OrganizationId, shown: EventFilter) -> Export:
        """Begin an export of what *shown* selects. Raises `ExportsBusy`, or
        `EventArchived` if *shown* begins in a month that was archived.
        """
        place = self._places.take(organization_id)
        if shown.until is None:
            # Without an end an export could run behind the events that keep arriving.
            shown = replace(shown, until=self._clock.now() + NEWEST)
        export = Export(self, place, organization_id, shown)
        try:
            await export.begin()
        except BaseException:
            export.close()
            raise
        return export

    async def refuse_archived(self, organization_id: OrganizationId, shown: EventFilter) -> None:
        if shown.since is not None and shown.until is not None:
            async with self._work.begin(organization_id):
                await self._archived.refuse(shown.since, shown.until)

    async def page(
        self, organization_id: OrganizationId, shown: EventFilter, after: UUID | None
    ) -> Piece:
        async with self._work.begin(organization_id):
            return await self._events.following(organization_id, shown, after, PAGE_ROWS)
