"""Credit that calls to models draw on: which plans do, and what they have cost."""

from __future__ import annotations

from datetime import datetime

from app.credits.domain import CreditUse
from app.credits.service.ledger import CreditLedger
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService


class Using:
    """Follows plans, and settles; each account is a unit of its own, so both can be repeated."""

    def __init__(
        self,
        work: UnitOfWork,
        ledger: CreditLedger,
        use: CreditUse,
        organizations: OrganizationService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._use = use
        self._organizations = organizations
        self._clock = clock

    async def follow(self, organization_id: OrganizationId, at: datetime) -> None:
        """Draw on credit since the plan says so, or no longer from *at* on; as the plan is now."""
        organization = await self._organizations.get(organization_id)
        await self._ledger.pay_use_from(organization_id, organization.draws_on_credit_since, at)

    async def settle(self) -> int:
        """Bring every account up that use or time has moved; answers how many."""
        async with self._work.begin_platform():
            due = await self._use.list_due(self._clock.now())
        for organization_id in due:
            await self._ledger.bring_up(organization_id)
        return len(due)
