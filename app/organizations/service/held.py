"""Who holds and held which plan when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.organizations.domain import Held
from app.organizations.repository_held import HeldRepository


class HeldPlans:
    """Reads plans and windows for billing. Methods join the unit of work around them."""

    def __init__(self, work: UnitOfWork, held: HeldRepository) -> None:
        self._work = work
        self._held = held

    async def of(self, organization_id: OrganizationId) -> Held:
        """Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            return await self._held.get(organization_id)

    async def page(
        self,
        plans: Sequence[str],
        since: datetime,
        after: UUID | None,
        limit: int,
        also: Sequence[UUID] = (),
    ) -> list[Held]:
        """Organizations that hold one of *plans* or held one until after *since*, and those that
        *also* names, by id."""
        async with self._work.begin_platform():
            return await self._held.page_for_platform(plans, since, after, limit, also)

    async def anyone(self) -> UUID | None:
        """One organization out of all, by chance; none where there are none."""
        async with self._work.begin_platform():
            return await self._held.anyone_for_platform()
