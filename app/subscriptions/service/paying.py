"""Who pays at Stripe and with what, for those below who sell something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.credits.domain import Payer, TopUp
from app.gateways.stripe.gateway import StripeGateway
from app.kernel.ids import OrganizationId
from app.subscriptions.service.customers import StripeCustomers
from app.subscriptions.service.reading import SubscriptionService


class SavedWaysToPay:
    """Fulfils the `Payers` of credits."""

    def __init__(
        self, customers: StripeCustomers, reading: SubscriptionService, stripe: StripeGateway
    ) -> None:
        self._customers = customers
        self._reading = reading
        self._stripe = stripe

    async def find(self, organization_id: OrganizationId) -> Payer | None:
        """What renewals are taken from, else what was saved last."""
        self._stripe.require_configured()
        customer_id = await self._customers.find(organization_id)
        saved = await self._reading.payment_methods(organization_id)
        chosen = [method for method in saved if method.is_default] or saved[:1]
        if customer_id is None or not chosen:
            return None
        return Payer(customer_id, chosen[0].id)

    async def sell(
        self,
        organization_id: OrganizationId,
        email: str | None,
        sale: Callable[[str], Awaitable[TopUp]],
    ) -> TopUp:
        return await self._customers.with_customer(organization_id, email, sale)
