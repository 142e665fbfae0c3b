"""Whom an object of Stripe's concerns, and what of theirs is worth asking about."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.subscriptions.repository_known import KnownRepository


class KnownAtStripe:
    """Finds organizations by what Stripe calls them."""

    def __init__(
        self, work: UnitOfWork, known: KnownRepository, organizations: OrganizationService
    ) -> None:
        self._work = work
        self._known = known
        self._organizations = organizations

    async def find_owner(self, stripe_customer_id: str) -> OrganizationId | None:
        """Whose customer this is. One that was deleted at Stripe and replaced still counts: the
        news that its subscription ended may come after the replacement."""
        async with self._work.begin_platform():
            found = await self._organizations.find_by_stripe_customer(stripe_customer_id)
            if found is not None:
                return found.id
            return await self._known.find_owner_for_platform(stripe_customer_id)

    async def followed(self, organization_id: OrganizationId) -> list[str]:
        """Stripe's ids of an organization's subscriptions that have not ended."""
        async with self._work.begin(organization_id):
            return await self._known.list_followed(organization_id)
