"""What the ledger of credits asks of usage; fulfils its `CreditUse`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.credits.domain import Bound, Used
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.usage.repository.prepaid import PrepaidRepository


class PrepaidUse:
    """Use that is paid from credit: a limit on spending for each account. Joins the unit.

    The ledger takes its own lock first, then that of the limit's row of `spend`, which everybody
    holds who grants against it: so a balance and what is granted against it never pass each other.
    """

    def __init__(self, work: UnitOfWork, prepaid: PrepaidRepository) -> None:
        self._work = work
        self._prepaid = prepaid

    async def hold_still(self, organization_id: OrganizationId) -> None:
        """Let nobody record until the unit ends; before every other lock."""
        async with self._work.begin(organization_id):
            await self._prepaid.alone(organization_id)

    async def begin(
        self, organization_id: OrganizationId, account_id: UUID, since: datetime
    ) -> None:
        """Count what happens from *since* on; a new limit allows nothing until it is bounded."""
        async with self._work.begin(organization_id):
            await self._prepaid.open(organization_id, account_id)
            await self._prepaid.count_from(organization_id, account_id, since)

    async def end(self, organization_id: OrganizationId, account_id: UUID, at: datetime) -> None:
        """Count nothing that happens from *at* on; what comes late from before still counts."""
        async with self._work.begin(organization_id):
            await self._prepaid.count_until(organization_id, account_id, at)

    async def look(
        self, organization_id: OrganizationId, account_id: UUID, *, lock: bool = False
    ) -> Used:
        """What use took and holds; with *lock* it neither takes nor holds more until the end."""
        async with self._work.begin(organization_id):
            found = await self._prepaid.find(organization_id, account_id, lock=lock)
        return Used() if found is None else Used(*found)

    async def used_since(
        self, organization_id: OrganizationId, account_id: UUID, at: datetime
    ) -> Decimal:
        """What of the use happened at *at* or later."""
        async with self._work.begin(organization_id):
            return await self._prepaid.posted_since(organization_id, account_id, at)

    async def bound(self, organization_id: OrganizationId, account_id: UUID, bound: Bound) -> None:
        """Set how much use may take and hold altogether."""
        lapses = bound.lapses_at if bound.refuses else None
        async with self._work.begin(organization_id):
            await self._prepaid.bound(
                organization_id,
                account_id,
                amount=bound.balance + bound.settled,
                hard=bound.balance + bound.settled if bound.refuses else None,
                settled=bound.settled,
                lapses_at=lapses,
                lapsed=None if lapses is None else bound.balance + bound.settled - bound.lapsing,
            )

    async def list_due(self, now: datetime) -> list[OrganizationId]:
        """Whose use or credit the ledger has something to write down of."""
        async with self._work.begin_platform():
            return await self._prepaid.list_due_for_platform(now)
