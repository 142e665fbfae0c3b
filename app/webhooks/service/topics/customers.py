"""Customers and the ways in which they pay: what changes there shows in their subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import StripeGateway, StripeSubscription
from app.subscriptions.service import Report, SubscriptionMirror
from app.subscriptions.service.known import KnownAtStripe
from app.webhooks.domain import Outcome, PendingEvent
from app.webhooks.service.topics.answers import (
    FOREIGN,
    NO_OBJECT,
    Apply,
    Handler,
    outcome_of,
    settled,
)

CUSTOMER_EVENTS = ("customer.updated", "customer.deleted")
PAYMENT_METHOD_EVENTS = (
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.automatically_updated",
    "payment_method.updated",
)


class CustomerTopic:
    """Asks for every subscription that the customer still has.

    Deleting a customer ends them all at Stripe, and a new default card is a field of each. A
    customer who is gone is replaced when they next check out, not here.
    """

    def __init__(
        self, stripe: StripeGateway, known: KnownAtStripe, mirror: SubscriptionMirror
    ) -> None:
        self._stripe = stripe
        self._known = known
        self._mirror = mirror

    def table(self) -> Mapping[str, Handler]:
        return {
            **dict.fromkeys(CUSTOMER_EVENTS, self.customer_changed),
            **dict.fromkeys(PAYMENT_METHOD_EVENTS, self.payment_method_changed),
        }

    async def customer_changed(self, event: PendingEvent) -> Apply:
        return await self._look_at(event.object_id)

    async def payment_method_changed(self, event: PendingEvent) -> Apply:
        # A detached one belongs to nobody any more; the event says to whom it did.
        owner = event.named("object", "customer")
        return await self._look_at(owner or event.named("previous_attributes", "customer"))

    async def _look_at(self, customer_id: str | None) -> Apply:
        if customer_id is None:
            return settled(NO_OBJECT)
        organization_id = await self._known.find_owner(customer_id)
        if organization_id is None:
            return settled(FOREIGN)
        owner = organization_id
        found: list[tuple[int, StripeSubscription]] = []
        for subscription_id in await self._known.followed(owner):
            ticket = await self._mirror.take_ticket()
            try:
                found.append((ticket, await self._stripe.get_subscription(subscription_id)))
            except StripeMissing:
                continue

        async def apply() -> Outcome:
            taken = [
                await self._mirror.take(owner, Report(subscription, ticket))
                for ticket, subscription in found
            ]
            return outcome_of(*taken)

        return apply
