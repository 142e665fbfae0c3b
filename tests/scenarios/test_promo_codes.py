"""A promo code of ours on the payment page: it counts once, and comes back when nobody pays."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.discounts.domain import Terms
from app.discounts.service.codes import PromoCodeService
from app.kernel.money import Money
from tests.factories.people import an_owner
from tests.factories.subscriptions import URLS, call, checkout, subscribed
from tests.support.stripe_account import Shop


async def make(shop: Shop, code: str = "WELCOME50", **terms: object) -> str:
    given = {"percent": Decimal(50), **terms}
    made = await shop.service.services[PromoCodeService].create(
        code,
        Terms(**given),  # type: ignore[arg-type]
        actor="system",
    )
    return made.code


async def uses(shop: Shop) -> list[tuple[str, int, list[str]]]:
    rows = await shop.rows(
        "select p.code, p.uses, coalesce(array_agg(r.state) filter (where r.id is not null), '{}')"
        " as states from promo_codes p left join promo_redemptions r on r.promo_code_id = p.id"
        " group by p.id order by p.code"
    )
    return [(row["code"], row["uses"], list(row["states"])) for row in rows]


async def test_a_code_of_ours_takes_half_off_the_first_invoice(shop: Shop) -> None:
    code = await make(shop)
    # Nobody has told Stripe of it yet: the page does so itself.
    owner = await subscribed(shop, promo_code=code.lower())
    (invoice,) = (await call(owner, "GET", "invoices")).json()["data"]
    assert (invoice["subtotal"], invoice["total"]) == (29900, 14950)
    assert await uses(shop) == [(code, 1, ["active"])]
    (typed,) = shop.account.find("promotion_code")
    assert typed["times_redeemed"] == 1


async def test_the_last_use_waits_on_the_page_and_comes_back(shop: Shop) -> None:
    code = await make(shop, max_uses=1)
    first, second = await an_owner(shop.service), await an_owner(shop.service)
    page = await checkout(first, promo_code=code)
    assert (await checkout(first, promo_code=code))["id"] == page["id"]
    assert await uses(shop) == [(code, 1, ["held"])]
    refused = await call(
        second, "POST", "checkout", {"plan": "starter", "promo_code": code, **URLS}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "promo_code_used_up")

    await shop.account.click(page["url"], "expire")
    await shop.deliver()
    await shop.deliver()
    assert await uses(shop) == [(code, 0, ["released"])]
    page = await checkout(second, promo_code=code)
    await shop.account.click(page["url"])
    await shop.deliver()
    assert (await uses(shop))[0][1] == 1


async def test_another_page_gives_the_use_of_the_one_before_back(shop: Shop) -> None:
    code = await make(shop, max_uses_per_org=1)
    owner = await an_owner(shop.service)
    await checkout(owner, "starter", promo_code=code)
    await checkout(owner, "enterprise", promo_code=code)
    ((_, counted, states),) = await uses(shop)
    assert (counted, sorted(states)) == (1, ["held", "released"])


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"plans": frozenset({"enterprise"})}, "promo_code_not_for_plan"),
        ({"minimum": Money(100_000)}, "promo_code_minimum"),
    ],
)
async def test_a_code_that_does_not_fit_opens_no_page(
    shop: Shop, terms: dict[str, object], reason: str
) -> None:
    code = await make(shop, "FITS-NOT", **terms)
    owner = await an_owner(shop.service)
    answer = await call(owner, "POST", "checkout", {"plan": "starter", "promo_code": code, **URLS})
    assert (answer.status_code, answer.json()["code"]) == (422, reason)
    assert await uses(shop) == [(code, 0, [])]


async def test_a_code_that_stripe_cannot_be_told_of_is_no_dead_end(shop: Shop) -> None:
    code = await make(shop)
    owner = await an_owner(shop.service)
    await shop.account.control("faults", kind="server_error", count=3, path="/v1/coupons")
    body = {"plan": "professional", "promo_code": code, **URLS}
    assert (await call(owner, "POST", "checkout", body)).status_code == 503
    assert (await call(owner, "POST", "checkout", body)).status_code == 201
    assert len(shop.account.find("coupon")) == 1


async def test_a_code_typed_on_the_page_is_used_here_too(shop: Shop) -> None:
    code = await make(shop, max_uses=1)
    await shop.service.drain()  # Stripe is told
    owner = await an_owner(shop.service)
    page = await checkout(owner)
    await shop.account.click(page["url"], "apply", code=code)
    await shop.account.click(page["url"])
    await shop.deliver()
    assert await uses(shop) == [(code, 1, ["active"])]
    again = await call(owner, "POST", "promo-codes/apply", {"code": code, "checkout_id": "x"})
    assert (again.status_code, again.json()["code"]) == (422, "promo_code_used_up")
