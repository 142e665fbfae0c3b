"""Coupons and promotion codes at Stripe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.kernel.money import Money


@dataclass(frozen=True, slots=True)
class CouponOrder:
    """What comes off, and for how many months: 1 is the first invoice, `None` every one."""

    name: str
    percent: Decimal | None = None
    fixed: Money | None = None
    months: int | None = 1
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromotionCodeOrder:
    """What customers type to get a coupon, and how long it is good for."""

    coupon_id: str
    code: str
    expires_at: datetime | None = None
    max_redemptions: int | None = None
    minimum: Money | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class CouponsGateway(Protocol):
    """Discounts as Stripe's payment page knows them. Errors as of `StripeGateway`."""

    async def create_coupon(self, order: CouponOrder, *, key: str) -> str:
        """A new coupon's id."""
        ...

    async def create_promotion_code(self, order: PromotionCodeOrder, *, key: str) -> str:
        """A new promotion code's id. Raises `StripeRefused` while another one is active."""
        ...

    async def switch_promotion_code(self, promotion_code_id: str, *, is_active: bool) -> None:
        """Let a promotion code be typed, or no longer."""
        ...
