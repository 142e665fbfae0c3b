"""Promo codes on the payment page: ours, which are held to their limits, and Stripe's own."""

from __future__ import annotations

from uuid import UUID

from app.catalog.domain import Catalog, Interval
from app.discounts.domain import Channel
from app.discounts.service.coupons import CouponSync
from app.discounts.service.redeeming import Redeeming, Wish
from app.gateways.stripe.gateway import StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Money
from app.subscriptions.domain import CheckoutRequest
from app.subscriptions.errors import PromoCodeNotReady, PromoCodeUnknown


class PagePromotions:
    """A code of ours counts from the moment its page is opened, and comes back if that runs out."""

    def __init__(
        self, work: UnitOfWork, redeeming: Redeeming, coupons: CouponSync, stripe: StripeGateway
    ) -> None:
        self._work = work
        self._redeeming = redeeming
        self._coupons = coupons
        self._stripe = stripe

    async def find(
        self, organization_id: OrganizationId, request: CheckoutRequest, catalog: Catalog
    ) -> str | None:
        """Stripe's id of the code that was typed; before any unit. A code of ours is asked first.

        Raises a kind of `CodeRefused` for one of ours that does not apply, `PromoCodeUnknown` for
        one that nobody knows, `PromoCodeNotReady` for one that Stripe could not be told of yet.
        """
        typed = request.promo_code
        if typed is None:
            return None
        if not await self._redeeming.knows(typed):
            found = await self._stripe.find_promotion_code(typed)
            if found is None:
                raise PromoCodeUnknown(promo_code=typed)
            return found
        quote = await self._redeeming.quote(
            organization_id, typed, plan=request.plan, amount=_fee(request, catalog)
        )
        if quote.refusal is not None:
            raise quote.refusal
        told = await self._redeeming.told_as(typed)
        if told is None:
            await self._coupons.tell_stripe()
            told = await self._redeeming.told_as(typed)
        if told is None:
            raise PromoCodeNotReady
        return told

    async def hold(
        self,
        organization_id: OrganizationId,
        attempt_id: UUID,
        request: CheckoutRequest,
        catalog: Catalog,
    ) -> None:
        """Count the use of a code of ours; joins the unit that reserves the page."""
        if request.promo_code is None or not await self._redeeming.knows(request.promo_code):
            return
        wish = Wish(
            code=request.promo_code,
            cause=_cause(attempt_id),
            actor="system",
            plan=request.plan,
            amount=_fee(request, catalog),
            channel=Channel.STRIPE,
        )
        await self._redeeming.hold(organization_id, wish)

    async def settle(self, organization_id: OrganizationId, attempt_id: UUID) -> None:
        """The page was paid. Joins the caller's unit; repeating is fine."""
        await self._redeeming.settle(organization_id, _cause(attempt_id))

    async def note_typed(
        self, organization_id: OrganizationId, attempt_id: UUID, promotion_code_id: str
    ) -> None:
        """The page was paid with a code that was typed there. As `settle`."""
        await self._redeeming.note_typed(organization_id, promotion_code_id, _cause(attempt_id))

    async def release(self, organization_id: OrganizationId, attempt_id: UUID) -> None:
        """The page came to nothing. Joins the caller's unit; repeating is fine."""
        await self._redeeming.release(organization_id, _cause(attempt_id))


def _cause(attempt_id: UUID) -> str:
    return f"checkout:{attempt_id}"


def _fee(request: CheckoutRequest, catalog: Catalog) -> Money | None:
    """What the plan costs, where the catalog knows it."""
    plan = catalog.plan(request.plan)
    price = plan.price(Interval(request.interval)) if plan is not None else None
    return price.money if price is not None else None
