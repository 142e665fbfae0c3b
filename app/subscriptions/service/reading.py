"""What an organization holds, as it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.catalog.service import CatalogService
from app.gateways.stripe.gateway import StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.organizations.errors import OrganizationNotFound
from app.subscriptions.domain import (
    Held,
    Mirrored,
    PaymentMethod,
    PaymentState,
    Standing,
    SubscriptionView,
    decide,
    grace_until,
    payment_state,
)
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service.access import rank_of
from app.subscriptions.service.customers import StripeCustomers
from app.subscriptions.service.holdings import Holding, Holdings


class SubscriptionService:
    """Reads the mirror, and what only Stripe knows: the portal and the saved ways to pay."""

    def __init__(
        self,
        work: UnitOfWork,
        subscriptions: SubscriptionRepository,
        holdings: Holdings,
        customers: StripeCustomers,
        catalogs: CatalogService,
        stripe: StripeGateway,
        clock: Clock,
        grace_days: int,
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._holdings = holdings
        self._customers = customers
        self._catalogs = catalogs
        self._stripe = stripe
        self._clock = clock
        self._grace_days = grace_days

    async def current(self, organization_id: OrganizationId) -> SubscriptionView:
        """The subscription that counts, or the last one, or the plan that costs nothing.

        Raises `OrganizationNotFound`.
        """
        holding = await self._holdings.of(organization_id)
        if holding is None:
            raise OrganizationNotFound
        row = self._shown(holding.subscriptions)
        if row is None:
            return _without(holding)
        return SubscriptionView(
            tier=holding.granted,
            plan=row.plan,
            status=row.status,
            period=row.period,
            cancel_at_period_end=row.ends_with_period,
            cancel_at=row.cancel_at,
            trial_end=row.trial_end,
            amount=row.amount,
            currency=row.currency,
            interval=row.interval,
            payment_state=payment_state(row, is_disputed=holding.is_disputed),
            grace_until=self._grace_until(row),
            pending_change=row.pending_change,
            pause=row.pause,
            pay_url=row.pay_url,
            features=holding.features,
        )

    async def standings(self, organization_id: OrganizationId) -> list[Standing]:
        """How each subscription stands with its payments; joins the caller's unit."""
        async with self._work.begin(organization_id):
            rows = await self._subscriptions.list_for_organization(organization_id)
        return [
            Standing(
                subscription_id=row.id,
                status=row.status,
                first_failed_at=row.first_failed_at,
                grace_until=grace_until(row.first_failed_at, self._grace_days)
                if row.first_failed_at is not None
                else None,
                end_reason=row.end_reason,
                pause_reason=row.pause_reason,
                is_duplicate=row.is_duplicate,
                awaits_first_payment=row.awaits_first_payment or row.status == "incomplete",
            )
            for row in rows
        ]

    async def open_portal(
        self, organization_id: OrganizationId, return_url: str, email: str | None
    ) -> str:
        """The address of a page where the organization manages its payments itself."""

        async def open_for(customer_id: str) -> str:
            return await self._stripe.create_portal(customer_id, return_url=return_url)

        return await self._customers.with_customer(organization_id, email, open_for)

    async def payment_methods(self, organization_id: OrganizationId) -> list[PaymentMethod]:
        """The saved ways to pay, newest first; none for who never was a customer."""
        customer_id = await self._customers.find(organization_id)
        if customer_id is None:
            return []
        async with self._work.begin(organization_id):
            rows = await self._subscriptions.list_for_organization(organization_id)
        customer = await self._stripe.get_customer(customer_id)
        if customer.is_deleted:
            return []
        saved = await self._stripe.list_payment_methods(customer_id)
        preferred = [row.default_payment_method_id for row in rows if row.default_payment_method_id]
        default = preferred[-1] if preferred else customer.default_payment_method_id
        return [
            PaymentMethod(
                id=method.id,
                type=method.type,
                card=method.card,
                created_at=method.created_at,
                is_default=method.id == default,
            )
            for method in sorted(saved, key=lambda one: one.created_at, reverse=True)
        ]

    def _shown(self, rows: Sequence[Mirrored]) -> Mirrored | None:
        """Of an organization's subscriptions, the one to talk about."""
        if not rows:
            return None
        catalog = self._catalogs.active
        held = [
            Held(
                id=row.id,
                status=row.status,
                rank=rank_of(row.plan, catalog),
                created_at=row.created_at,
                first_failed_at=row.first_failed_at,
                awaits_first_payment=row.awaits_first_payment,
            )
            for row in rows
        ]
        shown = decide(held, self._clock.now(), self._grace_days).shown
        return next((row for row in rows if shown is not None and row.id == shown.id), None)

    def _grace_until(self, row: Mirrored) -> datetime | None:
        if row.status != "past_due" or row.first_failed_at is None:
            return None
        return grace_until(row.first_failed_at, self._grace_days)


def _without(holding: Holding) -> SubscriptionView:
    return SubscriptionView(
        tier=holding.granted,
        plan=holding.granted,
        status="none",
        period=None,
        cancel_at_period_end=False,
        cancel_at=None,
        trial_end=None,
        amount=None,
        currency=None,
        interval=None,
        payment_state=PaymentState.DISPUTED if holding.is_disputed else PaymentState.OK,
        grace_until=None,
        pending_change=None,
        pause=None,
        pay_url=None,
        features=holding.features,
    )
