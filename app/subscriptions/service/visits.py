"""What became of a visit to the payment page, for whoever returned from it and waits."""

from __future__ import annotations

from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.kernel.ids import OrganizationId
from app.subscriptions.domain import Visit, VisitStatus, grants
from app.subscriptions.errors import UnknownCheckout
from app.subscriptions.models import CheckoutAttempt, Subscription
from app.subscriptions.repository import CheckoutRepository, SubscriptionRepository


class CheckoutVisits:
    """Tells how a page stands. It grants nothing: access follows the webhook, and so does this."""

    def __init__(
        self,
        work: UnitOfWork,
        attempts: CheckoutRepository,
        subscriptions: SubscriptionRepository,
        stripe: StripeGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._attempts = attempts
        self._subscriptions = subscriptions
        self._stripe = stripe
        self._clock = clock

    async def status(self, organization_id: OrganizationId, checkout_id: str) -> Visit:
        """How the page stands, and whether what was bought on it is in force.

        While nothing was heard of an open page, Stripe is asked; a page that was paid but not
        reported yet is `processing`. Raises `UnknownCheckout`.
        """
        async with self._work.begin(organization_id):
            attempt = await self._attempts.find_by_session(organization_id, checkout_id)
            if attempt is None:
                raise UnknownCheckout
            row = (
                await self._subscriptions.find(organization_id, attempt.stripe_subscription_id)
                if attempt.stripe_subscription_id is not None
                else None
            )
        if attempt.state == "open":
            status = await self._ask(attempt, checkout_id)
        elif attempt.state == "complete":
            status = _completed(attempt, row)
        else:
            status = VisitStatus.EXPIRED
        return Visit(
            id=checkout_id,
            status=status,
            plan=attempt.plan,
            interval=attempt.interval,
            is_active=row is not None and grants(row.status, awaits=row.awaits_first_payment),
        )

    async def _ask(self, attempt: CheckoutAttempt, checkout_id: str) -> VisitStatus:
        try:
            session = await self._stripe.get_checkout(checkout_id)
        except StripeMissing:
            return VisitStatus.EXPIRED
        except Unavailable:
            is_over = attempt.expires_at is not None and attempt.expires_at <= self._clock.now()
            return VisitStatus.EXPIRED if is_over else VisitStatus.OPEN
        if session.is_open:
            return VisitStatus.OPEN
        return VisitStatus.PROCESSING if session.is_complete else VisitStatus.EXPIRED


def _completed(attempt: CheckoutAttempt, row: Subscription | None) -> VisitStatus:
    if attempt.has_failed:
        return VisitStatus.FAILED
    if row is None or row.awaits_first_payment:
        return VisitStatus.PROCESSING
    return VisitStatus.COMPLETE
