"""Subscriptions, the pages on which they are bought, and what is about to be billed for them."""

from __future__ import annotations

from collections.abc import Mapping

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import StripeCheckout, StripeGateway, StripeSubscription
from app.subscriptions.service import CheckoutService, Report, SubscriptionMirror
from app.subscriptions.service.known import KnownAtStripe
from app.webhooks.domain import HANDLED, Outcome, PendingEvent
from app.webhooks.service.topics.answers import (
    FOREIGN,
    GONE,
    NO_OBJECT,
    Apply,
    Handler,
    outcome_of,
    settled,
)

SUBSCRIPTION_EVENTS = (
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    # Thin events name the change more finely; the answer is the same fetch.
    "customer.subscription.active",
    "customer.subscription.past_due",
    "customer.subscription.unpaid",
    "customer.subscription.canceled",
    "customer.subscription.cancel_at_changed",
    "customer.subscription.item_price_changed",
)
CHECKOUT_EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
)
DELAYED_FAILURE = "checkout.session.async_payment_failed"
TRIAL_ENDS = "customer.subscription.trial_will_end"
UPCOMING = "invoice.upcoming"
"""About an invoice that does not exist yet; what exists is its subscription."""


class SubscriptionTopic:
    """Asks for the subscription and hands it to the mirror."""

    def __init__(
        self,
        stripe: StripeGateway,
        known: KnownAtStripe,
        mirror: SubscriptionMirror,
        checkouts: CheckoutService,
    ) -> None:
        self._stripe = stripe
        self._known = known
        self._mirror = mirror
        self._checkouts = checkouts

    def table(self) -> Mapping[str, Handler]:
        return {
            **dict.fromkeys(SUBSCRIPTION_EVENTS, self.subscription_changed),
            **dict.fromkeys(CHECKOUT_EVENTS, self.checkout_changed),
            UPCOMING: self.renewal_announced,
        }

    async def subscription_changed(self, event: PendingEvent) -> Apply:
        return await self._look_at(event.object_id, trial_ends=event.kind == TRIAL_ENDS)

    async def renewal_announced(self, event: PendingEvent) -> Apply:
        parent = event.named("object", "parent", "subscription_details", "subscription")
        # Until API 2025-03-31 the invoice named its subscription itself.
        return await self._look_at(parent or event.named("object", "subscription"))

    async def checkout_changed(self, event: PendingEvent) -> Apply:
        if event.object_id is None:
            return settled(NO_OBJECT)
        ticket = await self._mirror.take_ticket()
        try:
            session = await self._stripe.get_checkout(event.object_id)
            subscription = await self._bought(session)
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            organization_id = session.customer_id and await self._known.find_owner(
                session.customer_id
            )
            if not organization_id:
                return FOREIGN
            has_failed = event.kind == DELAYED_FAILURE
            await self._checkouts.take(organization_id, session, has_failed=has_failed)
            if subscription is None:
                return HANDLED
            return outcome_of(
                await self._mirror.take(organization_id, Report(subscription, ticket))
            )

        return apply

    async def _look_at(self, subscription_id: str | None, *, trial_ends: bool = False) -> Apply:
        if subscription_id is None:
            return settled(NO_OBJECT)
        ticket = await self._mirror.take_ticket()
        try:
            subscription = await self._stripe.get_subscription(subscription_id)
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            organization_id = await self._known.find_owner(subscription.customer_id)
            if organization_id is None:
                return FOREIGN
            report = Report(subscription, ticket, trial_ends=trial_ends)
            return outcome_of(await self._mirror.take(organization_id, report))

        return apply

    async def _bought(self, session: StripeCheckout) -> StripeSubscription | None:
        if session.subscription_id is None:
            return None
        return await self._stripe.get_subscription(session.subscription_id)
