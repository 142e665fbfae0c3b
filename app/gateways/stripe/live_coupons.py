"""Coupons at Stripe itself, through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.coupons import CouponOrder, PromotionCodeOrder
from app.infra.db.unit_of_work import refuse_inside_unit

if TYPE_CHECKING:
    from stripe.params import CouponCreateParams, PromotionCodeCreateParams


class LiveCoupons:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def create_coupon(self, order: CouponOrder, *, key: str) -> str:
        refuse_inside_unit()
        parameters: CouponCreateParams = {"name": order.name, "metadata": dict(order.metadata)}
        if order.fixed is not None:
            parameters["amount_off"] = order.fixed.minor
            parameters["currency"] = str(order.fixed.currency)
        elif order.percent is not None:
            # A share, not money: the SDK wants a float, which writes the same two places.
            parameters["percent_off"] = float(order.percent)
        if order.months is None:
            parameters["duration"] = "forever"
        elif order.months == 1:
            parameters["duration"] = "once"
        else:
            parameters["duration"] = "repeating"
            parameters["duration_in_months"] = order.months
        return await self._connection.ask(
            "create_coupon",
            lambda: self._connection.v1.coupons.create_async(parameters, {"idempotency_key": key}),
            _id,
        )

    async def create_promotion_code(self, order: PromotionCodeOrder, *, key: str) -> str:
        refuse_inside_unit()
        parameters: PromotionCodeCreateParams = {
            "promotion": {"type": "coupon", "coupon": order.coupon_id},
            "code": order.code,
            "metadata": dict(order.metadata),
        }
        if order.expires_at is not None:
            parameters["expires_at"] = int(order.expires_at.timestamp())
        if order.max_redemptions is not None:
            parameters["max_redemptions"] = order.max_redemptions
        if order.minimum is not None:
            parameters["restrictions"] = {
                "minimum_amount": order.minimum.minor,
                "minimum_amount_currency": str(order.minimum.currency),
            }
        return await self._connection.ask(
            "create_promotion_code",
            lambda: self._connection.v1.promotion_codes.create_async(
                parameters, {"idempotency_key": key}
            ),
            _id,
        )

    async def switch_promotion_code(self, promotion_code_id: str, *, is_active: bool) -> None:
        refuse_inside_unit()
        await self._connection.ask(
            "switch_promotion_code",
            lambda: self._connection.v1.promotion_codes.update_async(
                promotion_code_id, {"active": is_active}
            ),
            _id,
        )


def _id(data: Mapping[str, Any]) -> str:
    return str(data["id"])
