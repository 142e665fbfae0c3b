"""Which event wakes which handler, and what each does.

A handler fetches outside any unit and answers with what is to be written inside the unit that
marks the event. The payload is a hint: which object to ask Stripe about, and when it happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import (
    StripeCheckout,
    StripeGateway,
    StripeInvoice,
    StripeSubscription,
)
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.subscriptions.service import CheckoutService, Report, SubscriptionMirror, Taken
from app.webhooks.domain import HANDLED, Outcome, PendingEvent, ignored
from app.webhooks.service.inbox import Apply, Handler, settled

FOREIGN = ignored("foreign_customer")
GONE = ignored("gone")
NO_OBJECT = ignored("no_object")

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
INVOICE_EVENTS = (
    "invoice.created",
    "invoice.updated",
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
)
FAILURES = frozenset({"invoice.payment_failed", "invoice.payment_action_required"})
CHECKOUT_EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
)


class StripeHandlers:
    """Handlers of everything that concerns subscriptions and their invoices."""

    def __init__(
        self,
        stripe: StripeGateway,
        organizations: OrganizationService,
        mirror: SubscriptionMirror,
        checkouts: CheckoutService,
        invoices: InvoiceMirror,
    ) -> None:
        self._stripe = stripe
        self._organizations = organizations
        self._mirror = mirror
        self._checkouts = checkouts
        self._invoices = invoices

    def table(self) -> Mapping[str, Handler]:
        """Event types and their handlers; what is not here is kept and ignored."""
        return {
            **dict.fromkeys(SUBSCRIPTION_EVENTS, self.subscription_changed),
            **dict.fromkeys(INVOICE_EVENTS, self.invoice_changed),
            **dict.fromkeys(CHECKOUT_EVENTS, self.checkout_changed),
        }

    async def subscription_changed(self, event: PendingEvent) -> Apply:
        if event.object_id is None:
            return settled(NO_OBJECT)
        ticket = await self._mirror.take_ticket()
        try:
            subscription = await self._stripe.get_subscription(event.object_id)
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            organization_id = await self._whose(subscription.customer_id)
            if organization_id is None:
                return FOREIGN
            return _outcome(await self._mirror.take(organization_id, Report(subscription, ticket)))

        return apply

    async def invoice_changed(self, event: PendingEvent) -> Apply:
        if event.object_id is None:
            return settled(NO_OBJECT)
        ticket = await self._mirror.take_ticket()
        try:
            invoice = await self._stripe.get_invoice(event.object_id)
            subscription = await self._subscription_of(invoice)
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            organization_id = await self._whose(invoice.customer_id)
            if organization_id is None:
                return FOREIGN
            await self._invoices.record(organization_id, invoice)
            if subscription is None:
                return HANDLED
            failed_at = event.occurred_at if event.type.removeprefix("v1.") in FAILURES else None
            report = Report(subscription, ticket, invoice, failed_at)
            return _outcome(await self._mirror.take(organization_id, report))

        return apply

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
            organization_id = await self._whose(session.customer_id)
            if organization_id is None:
                return FOREIGN
            if session.status in {"complete", "expired"}:
                await self._checkouts.settle(organization_id, session.id, session.status)
            if subscription is None:
                return HANDLED
            return _outcome(await self._mirror.take(organization_id, Report(subscription, ticket)))

        return apply

    async def _whose(self, customer_id: str | None) -> OrganizationId | None:
        if customer_id is None:
            return None
        organization = await self._organizations.find_by_stripe_customer(customer_id)
        return organization.id if organization is not None else None

    async def _subscription_of(self, invoice: StripeInvoice) -> StripeSubscription | None:
        if invoice.subscription_id is None:
            return None
        return await self._stripe.get_subscription(invoice.subscription_id)

    async def _bought(self, session: StripeCheckout) -> StripeSubscription | None:
        if session.subscription_id is None:
            return None
        return await self._stripe.get_subscription(session.subscription_id)


def _outcome(taken: Taken) -> Outcome:
    return ignored("unknown_price") if taken is Taken.UNKNOWN_PRICE else HANDLED
