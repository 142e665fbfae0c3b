"""Telling operators that usage waits for a price."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.usage.events import ModelUnpriced
from app.usage.repository.unpriced import UnpricedRepository


class UnpricedAlerts:
    """Announces each model without a price once a day and organization, while it has none."""

    def __init__(self, work: UnitOfWork, unpriced: UnpricedRepository, clock: Clock) -> None:
        self._work = work
        self._unpriced = unpriced
        self._clock = clock

    async def announce(self) -> int:
        """Announce what was not announced today; returns how many. Safe in two workers at once."""
        now = self._clock.now()
        async with self._work.begin_platform():
            waiting = await self._unpriced.list_waiting_for_operators()
        announced = 0
        for organization_id, model in waiting:
            async with self._work.begin(organization_id):
                if await self._unpriced.mark_told(organization_id, model, now):
                    announced += 1
                    self._work.announce(
                        ModelUnpriced(organization_id, model.provider, model.model, model.events)
                    )
        return announced
