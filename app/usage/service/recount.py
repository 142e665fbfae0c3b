"""Placing events again when a window opens late."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.usage.domain import first_id_at
from app.usage.repository.recount import RecountRepository, Stretch

log = structlog.get_logger(__name__)

_AT_ONCE = 2_000

_LAST = UUID(int=(1 << 128) - 1)

_AHEAD = timedelta(days=1)
"""Beyond the five minutes by which an event may be ahead."""


class WindowRecount:
    """Moves events to the window in which they happened, and their counts with them.

    A renewal is paid after its period began, and a subscription is known after it began: what was
    recorded meanwhile counted in the window of then. New events count in the right one from the
    moment the change commits; what is left to move only shrinks, so this may stop anywhere, run
    again, or run twice at once.
    """

    def __init__(
        self,
        work: UnitOfWork,
        usage: RecountRepository,
        organizations: OrganizationService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._usage = usage
        self._organizations = organizations
        self._clock = clock

    async def place_again(self, organization_id: OrganizationId, since: datetime) -> int:
        """Place what happened from *since* on; returns how many events were moved.

        Each part is a unit of its own that keeps everybody else out only while it moves.
        """
        async with self._work.begin(organization_id):
            # Flushes that began before the window changed end before this gate opens.
            await self._usage.alone(organization_id)
        moved = 0
        first = first_id_at(since)
        while True:
            async with self._work.begin(organization_id):
                rest = await self._stretch(organization_id, since, first, _LAST)
                found = await self._usage.find_misplaced(organization_id, rest, _AT_ONCE)
            if found is None:
                break
            first, last = found
            moved += await self._move(organization_id, since, first, last)
        if moved:
            log.info("usage.placed_again", organization_id=str(organization_id), events=moved)
        return moved

    async def _move(
        self, organization_id: OrganizationId, since: datetime, first: UUID, last: UUID
    ) -> int:
        async with self._work.begin(organization_id):
            await self._usage.alone(organization_id)
            some = await self._stretch(organization_id, since, first, last)
            changes = await self._usage.list_changes(organization_id, some)
            for change in changes:
                await self._usage.add(organization_id, change)
            if any(change.kind == "unique" for change in changes):
                await self._usage.move_values(organization_id, some)
            moved = await self._usage.place(organization_id, some)
            for change in changes:
                if change.kind in {"max", "latest"}:
                    await self._usage.recount(
                        organization_id, change.metric, change.window_start, change.kind
                    )
            return moved

    async def _stretch(
        self, organization_id: OrganizationId, since: datetime, first: UUID, last: UUID
    ) -> Stretch:
        windows = await self._organizations.quota_windows(organization_id)
        until = max(since, self._clock.now()) + _AHEAD
        return Stretch(since, windows.stretches(since, until), first, last)
