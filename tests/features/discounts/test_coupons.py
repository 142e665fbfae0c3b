"""Stripe's promotion codes say what ours say, also when an answer is lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import URL

from app.discounts.domain import Terms
from app.discounts.service.codes import PromoCodeService
from app.discounts.service.coupons import CouponSync
from app.gateways.stripe.errors import StripeUnavailable
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import ManualClock
from app.kernel.ids import decode_id
from app.kernel.money import Money
from tests.factories.subscriptions import call, subscribed
from tests.features.invoices.test_document import TextOf
from tests.support.service import Service
from tests.support.stripe_account import Shop, a_shop


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as open_shop:
        yield open_shop


def codes_of(service: Service) -> PromoCodeService:
    return service.services[PromoCodeService]


async def make(service: Service, code: str = "SPRING-26", **terms: Any) -> Any:
    return await codes_of(service).create(
        code, Terms(**{"percent": Decimal("12.5"), **terms}), actor="system"
    )


async def test_a_code_of_ours_can_be_typed_at_stripe(shop: Shop) -> None:
    made = await make(
        shop.service,
        periods=3,
        max_uses=10,
        minimum=Money(5000),
        expires_at=shop.clock.now() + timedelta(days=9),
    )
    await shop.service.drain()
    (coupon,) = shop.account.find("coupon")
    assert (coupon["percent_off"], coupon["duration"], coupon["duration_in_months"]) == (
        12.5,
        "repeating",
        3,
    )
    (typed,) = shop.account.find("promotion_code")
    assert (typed["code"], typed["active"], typed["max_redemptions"]) == ("SPRING-26", True, 10)
    assert typed["restrictions"]["minimum_amount"] == 5000
    known = await codes_of(shop.service).get(made.id)
    assert known.stripe_promotion_code_id == typed["id"]
    assert await shop.service.services[CouponSync].tell_stripe() == 0

    await codes_of(shop.service).switch(made.id, is_active=False, actor="system")
    await shop.service.drain()
    (typed,) = shop.account.find("promotion_code")
    assert typed["active"] is False


async def test_a_lost_answer_makes_no_second_coupon(shop: Shop) -> None:
    await make(shop.service, percent=None, fixed=Money(700))
    await shop.account.control("faults", kind="lost_answer", count=1, path="/v1/coupons")
    await shop.account.control("faults", kind="server_error", count=3, path="/v1/promotion_codes")
    sync = shop.service.services[CouponSync]
    with pytest.raises(StripeUnavailable):
        await sync.tell_stripe()
    assert await sync.tell_stripe() == 1
    (coupon,) = shop.account.find("coupon")
    assert (coupon["amount_off"], coupon["currency"], coupon["duration"]) == (700, "usd", "once")
    assert len(shop.account.find("promotion_code")) == 1


async def test_one_that_stripe_refuses_keeps_no_other_waiting(shop: Shop) -> None:
    await make(shop.service, "TAKEN")
    await shop.service.drain()
    # Somebody made the next one by hand in Stripe's dashboard.
    (coupon,) = shop.account.find("coupon")
    by_hand = await shop.account.http.post(
        "/v1/promotion_codes",
        data={"promotion[type]": "coupon", "promotion[coupon]": coupon["id"], "code": "BY-HAND"},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert by_hand.status_code == 200, by_hand.text
    await make(shop.service, "BY-HAND")
    await make(shop.service, "AFTER")
    await shop.service.drain()
    assert sorted(code["code"] for code in shop.account.find("promotion_code")) == [
        "AFTER",
        "BY-HAND",
        "TAKEN",
    ]


async def test_without_an_account_codes_wait(service: Service) -> None:
    made = await make(service, f"W-{id(service)}")
    assert await service.services[CouponSync].tell_stripe() == 0
    assert (await codes_of(service).get(made.id)).stripe_promotion_code_id is None


async def test_each_paid_invoice_uses_a_period_of_a_code_that_stripe_takes_off(shop: Shop) -> None:
    made = await make(shop.service, periods=2)
    await shop.service.drain()
    owner = await subscribed(shop, "starter", promo_code=made.code)

    async def used() -> list[int]:
        answer = await call(owner, "GET", "promo-codes")
        return [one["periods_used"] for one in answer.json()["data"]]

    await shop.advance(minutes=11)
    assert await used() == [1]
    [first] = [
        one for one in (await call(owner, "GET", "invoices")).json()["data"] if one["discount"]
    ]
    (discount,) = first["discounts"]
    assert (discount["amount"], discount["rate"]) == (first["discount"], "12.5")
    assert discount["name"] == shop.account.find("coupon")[0]["name"]
    assert first["subtotal"] - discount["amount"] + first["tax"] == first["total"]
    shown = TextOf((await call(owner, "GET", f"invoices/{first['id']}/html")).text).text
    assert f"{discount['name']} 12.5 % USD -{Decimal(discount['amount']) / 100:.2f}" in shown
    mirror = shop.service.services[InvoiceMirror]
    await mirror.note_discount(owner.organization_id, decode_id("inv", first["id"]))
    assert await used() == [1], "once for each invoice"
    for counted in ([2], [2]):
        await shop.advance(days=31)
        await shop.advance(hours=2)
        await shop.advance(minutes=11)
        assert await used() == counted
