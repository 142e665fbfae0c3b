"""One customer at Stripe per organization, however many ask for it at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import CustomerDetails, StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id
from app.organizations.service import OrganizationService
from app.subscriptions.repository import RegistrationRepository

T = TypeVar("T")


class StripeCustomers:
    """Makes organizations customers at Stripe, tied by id and never found by e-mail."""

    def __init__(
        self,
        work: UnitOfWork,
        registrations: RegistrationRepository,
        organizations: OrganizationService,
        stripe: StripeGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._registrations = registrations
        self._organizations = organizations
        self._stripe = stripe
        self._clock = clock

    async def find(self, organization_id: OrganizationId) -> str | None:
        return (await self._organizations.get(organization_id)).stripe_customer_id

    async def ensure(self, organization_id: OrganizationId, email: str | None) -> str:
        """The organization's customer id, made now if it has none.

        Everyone who asks at once works from one registration, and so with one key and the same
        details: Stripe makes one customer. A crash before it is tied repeats with that key.
        """
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            if organization.stripe_customer_id is not None:
                return organization.stripe_customer_id
            registration = await self._registrations.reserve(
                organization_id, organization.name, email or None, self._clock.now()
            )
        customer_id = await self._stripe.create_customer(
            CustomerDetails(
                registration.name,
                registration.email,
                {"organization_id": encode_id("org", organization_id)},
            ),
            key=registration.idempotency_key,
        )
        async with self._work.begin(organization_id):
            await self._registrations.record(organization_id, registration.id, customer_id)
            await self._organizations.set_stripe_customer(organization_id, customer_id)
        return customer_id

    async def with_customer(
        self,
        organization_id: OrganizationId,
        email: str | None,
        use: Callable[[str], Awaitable[T]],
    ) -> T:
        """Call *use* with the customer id; a customer deleted at Stripe is replaced, once."""
        customer_id = await self.ensure(organization_id, email)
        try:
            return await use(customer_id)
        except StripeMissing as error:
            if error.parameter != "customer":
                raise
        await self.forget(organization_id, customer_id)
        return await use(await self.ensure(organization_id, email))

    async def forget(self, organization_id: OrganizationId, customer_id: str) -> None:
        """Untie a customer whom Stripe no longer has, and remember whose it was."""
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            await self._registrations.retire(
                organization_id, customer_id, organization.name, self._clock.now()
            )
            await self._organizations.forget_stripe_customer(organization_id, customer_id)
