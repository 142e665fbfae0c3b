"""How much an organization has paid, and what that takes off its next invoice."""

from __future__ import annotations

from collections.abc import Callable

from app.discounts.domain import VOLUME_CURRENCY, VolumeStanding, volume_standing
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.settling import SpendReader


class VolumeService:
    """Reads what invoices know. *reader* is asked late: invoices stand above discounts."""

    def __init__(self, work: UnitOfWork, reader: Callable[[], SpendReader]) -> None:
        self._work = work
        self._reader = reader

    async def standing(self, organization_id: OrganizationId) -> VolumeStanding:
        """In US dollars; payments in other currencies are not converted and do not count."""
        async with self._work.begin(organization_id):
            spent = await self._reader().paid_net(organization_id, VOLUME_CURRENCY)
        return volume_standing(spent)
