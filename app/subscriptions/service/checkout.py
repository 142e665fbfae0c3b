"""Sending somebody to Stripe to pay."""

from __future__ import annotations

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.gateways.stripe.errors import StripeMissing, StripeRefused
from app.gateways.stripe.gateway import (
    CheckoutOrder,
    OrderedPrice,
    StripeCheckout,
    StripeGateway,
)
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.subscriptions.domain import ENDED, LIVE, CheckoutLink, CheckoutRequest
from app.subscriptions.errors import AlreadySubscribed, CheckoutInProgress
from app.subscriptions.models import CheckoutAttempt
from app.subscriptions.repository import CheckoutRepository, SubscriptionRepository
from app.subscriptions.service.customers import StripeCustomers
from app.subscriptions.service.plans import known_plan, ordered_prices
from app.subscriptions.service.promotions import PagePromotions


class CheckoutService:
    """Opens payment pages, at most one per organization at a time."""

    def __init__(
        self,
        work: UnitOfWork,
        attempts: CheckoutRepository,
        subscriptions: SubscriptionRepository,
        customers: StripeCustomers,
        catalogs: CatalogService,
        stripe: StripeGateway,
        promotions: PagePromotions,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._attempts = attempts
        self._subscriptions = subscriptions
        self._customers = customers
        self._catalogs = catalogs
        self._stripe = stripe
        self._promotions = promotions
        self._audit = audit
        self._clock = clock

    async def open(
        self, organization_id: OrganizationId, request: CheckoutRequest, email: str | None
    ) -> CheckoutLink:
        """Send an organization to Stripe to pay for a plan.

        Nothing is granted here: access follows the webhook, because customers close tabs. Asking
        again while the page for the same plan is open returns the same page; asking for another
        plan closes it first. Raises `AlreadySubscribed`, `UnknownPlan`, `PlanNotForSale`,
        `PromoCodeUnknown`, `CodeRefused`.
        """
        if not known_plan(self._catalogs.active, request.plan).is_free:
            self._stripe.require_configured()
        prices = ordered_prices(self._catalogs.active, request.plan, request.interval)
        in_play, had_trial = await self._in_play(organization_id)
        if in_play is not None:
            session = await self._session_of(organization_id, in_play)
            if session is not None and session.is_complete:
                await self._settle_complete(organization_id, in_play, session)
            if session is not None and session.is_open:
                if _is_same(in_play, request) and not (had_trial and in_play.trial_days):
                    return _link(session)
                await self._close(organization_id, in_play, session)
        promotion_code_id = await self._promotions.find(
            organization_id, request, self._catalogs.active
        )

        async def send(customer_id: str) -> CheckoutLink:
            attempt = await self._reserve(
                organization_id, request, prices, customer_id, promotion_code_id
            )
            session = await self._create(organization_id, attempt)
            return _link(session)

        return await self._customers.with_customer(organization_id, email, send)

    async def take(
        self, organization_id: OrganizationId, session: StripeCheckout, *, has_failed: bool = False
    ) -> None:
        """Note how a page stands that Stripe reported: paid, run out, or paid in vain.

        *has_failed* is for money that takes days and did not come. Joins the caller's unit;
        repeating it is fine, and a page of nobody's here is left out.
        """
        if session.status not in {"complete", "expired"}:
            return
        async with self._work.begin(organization_id):
            await self._attempts.settle_session(
                organization_id, session.id, session.status, session.subscription_id
            )
            if has_failed:
                await self._attempts.note_failure(organization_id, session.id)
            attempt = await self._attempts.find_by_session(organization_id, session.id)
            if attempt is None:
                return
            await self._settle_code(organization_id, attempt, session.status)
            typed = session.promotion_code_id
            if attempt.promo_code is None and typed is not None and session.is_complete:
                await self._promotions.note_typed(organization_id, attempt.id, typed)

    async def close_page(self, organization_id: OrganizationId) -> None:
        """Close the open page of an organization that has a subscription; it must not be paid."""
        async with self._work.begin(organization_id):
            held = await self._subscriptions.list_for_organization(organization_id)
            attempt = await self._attempts.find_in_play(organization_id)
        if attempt is None or not any(row.status in LIVE for row in held):
            return
        session = await self._session_of(organization_id, attempt)
        if session is None:
            return
        if session.is_open:
            try:
                session = await self._stripe.expire_checkout(session.id)
            except StripeRefused:
                session = await self._stripe.get_checkout(session.id)
        await self.take(organization_id, session)

    async def _in_play(
        self, organization_id: OrganizationId
    ) -> tuple[CheckoutAttempt | None, bool]:
        """The visit that is under way, and whether the organization has had its trial."""
        async with self._work.begin(organization_id):
            await self._refuse_second(organization_id)
            in_play = await self._attempts.find_in_play(organization_id)
            return in_play, await self._had_trial(organization_id)

    async def _refuse_second(self, organization_id: OrganizationId) -> None:
        held = await self._subscriptions.list_for_organization(organization_id)
        if any(row.status in LIVE for row in held):
            raise AlreadySubscribed

    async def _session_of(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt
    ) -> StripeCheckout | None:
        """The page of an attempt as it stands; one that was never heard of is asked for again."""
        try:
            if attempt.stripe_session_id is None:
                return await self._create(organization_id, attempt)
            session = await self._stripe.get_checkout(attempt.stripe_session_id)
        except (StripeMissing, StripeRefused):
            await self._move(organization_id, attempt, "failed")
            return None
        if not session.is_open and not session.is_complete:
            await self._move(organization_id, attempt, "expired")
        return session

    async def _close(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt, session: StripeCheckout
    ) -> None:
        try:
            await self._stripe.expire_checkout(session.id)
        except StripeRefused:
            # It was paid or ran out since we looked; the next look says which.
            if (await self._stripe.get_checkout(session.id)).is_complete:
                raise AlreadySubscribed from None
        await self._move(organization_id, attempt, "expired")

    async def _settle_complete(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt, session: StripeCheckout
    ) -> None:
        """A paid page whose news has not come yet. Raises `AlreadySubscribed` while it lasts."""
        if session.subscription_id is not None:
            bought = await self._stripe.get_subscription(session.subscription_id)
            if bought.status not in ENDED:
                raise AlreadySubscribed
        await self.take(organization_id, session)

    async def _reserve(
        self,
        organization_id: OrganizationId,
        request: CheckoutRequest,
        prices: tuple[OrderedPrice, ...],
        customer_id: str,
        promotion_code_id: str | None,
    ) -> CheckoutAttempt:
        """Write down what will be asked for, unless somebody has just asked for the same."""
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            await self._refuse_second(organization_id)
            rival = await self._attempts.find_in_play(organization_id)
            if rival is not None:
                if _is_same(rival, request) and rival.stripe_customer_id == customer_id:
                    return rival
                # Its page may be opening this moment; two open pages could both be paid.
                raise CheckoutInProgress
            attempt = CheckoutAttempt(
                organization_id=organization_id,
                id=new_id(),
                plan=request.plan,
                interval=request.interval,
                price_ids=[[price.price_id, price.quantity] for price in prices],
                stripe_customer_id=customer_id,
                success_url=request.success_url,
                cancel_url=request.cancel_url,
                trial_days=await self._trial_days(organization_id, request),
                promo_code=request.promo_code,
                promotion_code_id=promotion_code_id,
                order_metadata=dict(request.metadata),
                state="reserved",
                has_failed=False,
                created_at=self._clock.now(),
            )
            self._attempts.add(attempt)
            await self._promotions.hold(organization_id, attempt.id, request, self._catalogs.active)
            self._audit.record(
                "subscriptions.checkout_opened",
                str(attempt.id),
                organization_id=organization_id,
                after={"plan": attempt.plan, "interval": attempt.interval},
            )
            return attempt

    async def _trial_days(self, organization_id: OrganizationId, request: CheckoutRequest) -> int:
        """What was asked for, else what the plan gives; nothing after a first trial."""
        if await self._had_trial(organization_id):
            return 0
        if request.trial_days is not None:
            return request.trial_days
        return known_plan(self._catalogs.active, request.plan).trial_days

    async def _had_trial(self, organization_id: OrganizationId) -> bool:
        # A page may have been completed and its subscription ended before anything was heard.
        held = await self._subscriptions.list_for_organization(organization_id)
        if any(row.trial_started_at is not None or row.trial_end is not None for row in held):
            return True
        return await self._attempts.has_completed_with_trial(organization_id)

    async def _create(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt
    ) -> StripeCheckout:
        try:
            session = await self._stripe.create_checkout(
                _order(attempt), key=attempt.idempotency_key
            )
        except (StripeMissing, StripeRefused):
            # An answered refusal is final for its key; the next wish is a new attempt.
            await self._move(organization_id, attempt, "failed")
            raise
        async with self._work.begin(organization_id):
            await self._attempts.move(
                organization_id,
                attempt.id,
                "open",
                stripe_session_id=session.id,
                url=session.url,
                expires_at=session.expires_at,
            )
        return session

    async def _move(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt, state: str
    ) -> None:
        async with self._work.begin(organization_id):
            await self._attempts.move(organization_id, attempt.id, state)
            await self._settle_code(organization_id, attempt, state)

    async def _settle_code(
        self, organization_id: OrganizationId, attempt: CheckoutAttempt, state: str
    ) -> None:
        if attempt.promo_code is None:
            return
        if state == "complete":
            await self._promotions.settle(organization_id, attempt.id)
        elif state in {"expired", "failed"}:
            await self._promotions.release(organization_id, attempt.id)


def _order(attempt: CheckoutAttempt) -> CheckoutOrder:
    organization = encode_id("org", attempt.organization_id)
    return CheckoutOrder(
        customer_id=attempt.stripe_customer_id,
        reference=organization,
        prices=tuple(OrderedPrice(price_id, quantity) for price_id, quantity in attempt.price_ids),
        success_url=attempt.success_url,
        cancel_url=attempt.cancel_url,
        trial_days=attempt.trial_days,
        promotion_code_id=attempt.promotion_code_id,
        metadata={
            **attempt.order_metadata,
            "organization_id": organization,
            "plan": attempt.plan,
            "interval": attempt.interval,
        },
    )


def _is_same(attempt: CheckoutAttempt, request: CheckoutRequest) -> bool:
    return (attempt.plan, attempt.interval, attempt.promo_code) == (
        request.plan,
        request.interval,
        request.promo_code,
    )


def _link(session: StripeCheckout) -> CheckoutLink:
    if session.url is None:
        # Stripe takes the address away from a page that is no longer open.
        raise AlreadySubscribed
    return CheckoutLink(session.id, session.url, session.expires_at)
