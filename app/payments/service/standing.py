"""What open disputes mean for the organization whose payments are disputed."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.payments.domain import is_inquiry, is_open
from app.payments.repository import PaymentRepository


class DisputeStanding:
    """Flags an organization while a dispute or an inquiry is open, and suspends it if told to.

    The policy `suspend` is for disputes: a bank that only asks has taken no money. Whom a dispute
    suspended is restored when none is open any more; whom somebody else suspended is not.
    """

    def __init__(
        self,
        work: UnitOfWork,
        payments: PaymentRepository,
        organizations: OrganizationService,
        *,
        suspends: bool,
    ) -> None:
        self._work = work
        self._payments = payments
        self._organizations = organizations
        self._suspends = suspends

    async def review(self, organization_id: OrganizationId) -> None:
        """Call it in the unit that changed a dispute, with the organization's payments locked."""
        async with self._work.begin(organization_id):
            disputes = await self._payments.list_disputes(organization_id)
            running = [one for one in disputes if is_open(one.status)]
            await self._organizations.mark_disputed(organization_id, value=bool(running))
            grave = [one for one in running if not is_inquiry(one.status)]
            suspended_by = [one for one in disputes if one.has_suspended]
            if grave and self._suspends and not suspended_by:
                found = await self._organizations.get(organization_id)
                if not found.is_suspended:
                    await self._organizations.suspend(
                        organization_id, f"dispute {grave[0].stripe_dispute_id}"
                    )
                    grave[0].has_suspended = True
            if suspended_by and not grave:
                for one in suspended_by:
                    one.has_suspended = False
                await self._organizations.restore(
                    organization_id, f"dispute {suspended_by[0].stripe_dispute_id} closed"
                )
