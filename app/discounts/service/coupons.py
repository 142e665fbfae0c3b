"""The coupons at Stripe that say what our codes say."""

from __future__ import annotations

import structlog

from app.discounts.models import PromoCode
from app.discounts.repository import PromoCodeRepository
from app.gateways.stripe.coupons import CouponOrder, CouponsGateway, PromotionCodeOrder
from app.gateways.stripe.errors import StripeMisconfigured, StripeNotConfigured, StripeRefused
from app.infra.db.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_AT_ONCE = 100


class CouponSync:
    """Makes and switches Stripe's promotion codes. The row's id is the key of each call."""

    def __init__(
        self, work: UnitOfWork, codes: PromoCodeRepository, stripe: CouponsGateway
    ) -> None:
        self._work = work
        self._codes = codes
        self._stripe = stripe

    async def tell_stripe(self) -> int:
        """Bring Stripe in step with every code that differs; answers how many.

        Without an account nothing happens, and the codes are told when there is one. A code that
        Stripe refuses is logged and does not keep the others waiting. Raises `StripeUnavailable`
        for the job to try again.
        """
        async with self._work.begin_platform():
            waiting = await self._codes.list_out_of_step(_AT_ONCE)
        told = 0
        for code in waiting:
            try:
                await self._tell(code)
                told += 1
            except StripeNotConfigured:
                return told
            except (StripeRefused, StripeMisconfigured) as error:
                log.error("discounts.stripe_refused", code_id=str(code.id), error=error.code)
        return told

    async def _tell(self, code: PromoCode) -> None:
        promotion_code_id = code.stripe_promotion_code_id
        if promotion_code_id is None:
            if not code.is_active:
                await self._note(code, is_active=False)
                return
            coupon_id = await self._stripe.create_coupon(_coupon(code), key=f"coupon:{code.id}")
            promotion_code_id = await self._stripe.create_promotion_code(
                _promotion_code(code, coupon_id), key=f"promotion_code:{code.id}"
            )
            await self._note(code, True, coupon_id, promotion_code_id)
        else:
            await self._stripe.switch_promotion_code(promotion_code_id, is_active=code.is_active)
            await self._note(code, code.is_active)

    async def _note(
        self,
        code: PromoCode,
        is_active: bool,
        coupon_id: str | None = None,
        promotion_code_id: str | None = None,
    ) -> None:
        async with self._work.begin_platform():
            row = await self._codes.claim(code.id)
            row.stripe_is_active = is_active
            row.stripe_coupon_id = row.stripe_coupon_id or coupon_id
            row.stripe_promotion_code_id = row.stripe_promotion_code_id or promotion_code_id


def _coupon(code: PromoCode) -> CouponOrder:
    terms = code.terms
    return CouponOrder(
        name=terms.description[:40] if terms.description else code.code,
        percent=terms.percent,
        fixed=terms.fixed,
        months=terms.periods,
        metadata={"promo_code": str(code.id)},
    )


def _promotion_code(code: PromoCode, coupon_id: str) -> PromotionCodeOrder:
    terms = code.terms
    return PromotionCodeOrder(
        coupon_id=coupon_id,
        code=code.code,
        expires_at=terms.expires_at,
        max_redemptions=terms.max_uses,
        minimum=terms.minimum,
        metadata={"promo_code": str(code.id)},
    )
