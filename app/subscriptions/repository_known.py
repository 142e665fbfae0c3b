"""What was ever heard of at Stripe, for those who follow it up."""

from __future__ import annotations

from sqlalchemy import select

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.subscriptions.domain import ENDED
from app.subscriptions.models import CustomerRegistration, Subscription


class KnownRepository(Repository):
    """Customers and subscriptions by what Stripe calls them."""

    async def find_owner_for_platform(self, stripe_customer_id: str) -> OrganizationId | None:
        """Whose customer this is, or was before it was replaced."""
        query = (
            select(CustomerRegistration.organization_id)
            .where(CustomerRegistration.stripe_customer_id == stripe_customer_id)
            .limit(1)
        )
        found = await self.session.scalar(query)
        return OrganizationId(found) if found is not None else None

    async def list_followed(self, organization_id: OrganizationId) -> list[str]:
        """Stripe's ids of the subscriptions that have not ended, as far as is known here."""
        query = (
            select(Subscription.stripe_subscription_id)
            .where(
                Subscription.organization_id == organization_id, Subscription.status.not_in(ENDED)
            )
            .order_by(Subscription.created_at, Subscription.id)
        )
        return list((await self.session.scalars(query)).all())
