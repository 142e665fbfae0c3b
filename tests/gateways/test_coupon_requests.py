"""What we ask of Stripe about coupons is what its pinned version takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.gateways.stripe.coupons import CouponOrder, PromotionCodeOrder
from app.gateways.stripe.live_coupons import LiveCoupons
from app.kernel.money import Money
from tests.gateways.test_stripe_requests import KEY, Connection, Sent
from tests.support.stripe_contract import param_problems

PARAMETERS = {
    "coupons.create": "CouponCreateParams",
    "promotion_codes.create": "PromotionCodeCreateParams",
    "promotion_codes.update": "PromotionCodeUpdateParams",
}
LATER = datetime(2027, 1, 1, tzinfo=UTC)

CALLS: dict[str, Callable[[LiveCoupons], Awaitable[object]]] = {
    "percent once": lambda s: s.create_coupon(CouponOrder("A", percent=Decimal("12.5")), key=KEY),
    "amount for months": lambda s: s.create_coupon(
        CouponOrder("A", fixed=Money(500), months=3, metadata={"promo_code": "1"}), key=KEY
    ),
    "percent for ever": lambda s: s.create_coupon(
        CouponOrder("A", percent=Decimal(5), months=None), key=KEY
    ),
    "a code": lambda s: s.create_promotion_code(PromotionCodeOrder("co_1", "SPRING"), key=KEY),
    "a code with limits": lambda s: s.create_promotion_code(
        PromotionCodeOrder("co_1", "SPRING", LATER, 1000, Money(500), {"promo_code": "1"}), key=KEY
    ),
    "off": lambda s: s.switch_promotion_code("promo_1", is_active=False),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_request_is_one_that_stripe_takes(name: str) -> None:
    connection = Connection()
    with pytest.raises(Sent):
        await CALLS[name](LiveCoupons(connection))  # type: ignore[arg-type]
    ((path, params, options),) = connection.v1.requests
    assert param_problems(PARAMETERS[path], params) == []
    if path.endswith("create"):
        assert options["idempotency_key"] == KEY
