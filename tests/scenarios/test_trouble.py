"""Stripe is away, slow to answer, or says everything twice; nothing is lost and nothing doubles."""

from __future__ import annotations

import random

import pytest

from app.organizations.service import OrganizationService
from app.webhooks.service.inbox import StripeInbox
from tests.factories.people import an_owner
from tests.factories.subscriptions import URLS, ask, call, checkout, subscribed, subscription
from tests.support.stripe_account import Shop
from tests.support.stripe_events import PATH


async def outage(shop: Shop, **fault: object) -> None:
    await shop.account.control("faults", kind="server_error", count=1000, **fault)


async def lose_the_answer(shop: Shop, path: str) -> None:
    """The next POST is carried out and its answer lost, and the client's two retries fail."""
    for kind, count in (("lost_answer", 1), ("server_error", 2)):
        await shop.account.control("faults", kind=kind, count=count, path=path, method="POST")


async def over(shop: Shop) -> None:
    answer = await shop.account.http.delete("/_sandbox/faults")
    assert answer.status_code == 200


async def test_events_of_an_outage_are_handled_when_it_is_over(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    session = await checkout(owner)
    await shop.account.click(session["url"])
    await outage(shop, method="GET")
    sent = await shop.account.collect()
    async with shop.service.client() as client:
        for body, headers in sent:
            answer = await client.post(PATH, content=body, headers=headers)
            assert answer.status_code == 200, "what is kept is acknowledged, outage or not"
    inbox = shop.service.services[StripeInbox]
    waiting = await shop.rows("select event_id from stripe_events where state = 'pending'")
    for event in waiting[:2]:
        for _ in range(2):
            try:
                await inbox.handle(event["event_id"])
            except Exception as error:
                assert type(error).__name__ == "StripeUnavailable"
    assert (await subscription(owner))["tier"] == "free"

    await over(shop)
    shop.clock.advance(minutes=6)
    assert await inbox.sweep() > 0
    await shop.service.drain()
    assert (await subscription(owner))["tier"] == "professional"
    assert await shop.rows("select 1 from stripe_events where state in ('pending', 'dead')") == []


async def test_during_an_outage_callers_are_told_to_come_back(shop: Shop) -> None:
    owner = await subscribed(shop)
    await outage(shop)
    refused = await ask(owner, "change", plan="enterprise")
    assert (refused.status_code, refused.json()["code"]) == (503, "stripe_unavailable")
    assert refused.headers["retry-after"]
    other = await ask(owner, "cancel")
    assert (other.status_code, other.json()["code"]) == (409, "change_in_progress")
    assert (await subscription(owner))["tier"] == "professional", "the mirror answers meanwhile"
    await over(shop)
    again = await ask(owner, "change", plan="enterprise")
    assert again.status_code == 200, again.text
    assert again.json()["tier"] == "enterprise"


async def test_answers_lost_after_the_deed_make_one_customer_one_page_one_charge(
    shop: Shop,
) -> None:
    """The caller is told that nobody knows, and asks again."""
    owner = await an_owner(shop.service)
    for path in ("/v1/customers", "/v1/checkout/sessions"):
        await lose_the_answer(shop, path)
        lost = await call(owner, "POST", "checkout", {"plan": "starter", **URLS})
        assert (lost.status_code, lost.json()["code"]) == (503, "stripe_unavailable")
    session = await checkout(owner, "starter")
    assert len(shop.account.find("customer")) == 1
    assert [page["id"] for page in shop.account.find("checkout.session")] == [session["id"]]
    await shop.account.click(session["url"])
    await shop.deliver()

    await lose_the_answer(shop, "/v1/subscriptions")
    lost = await ask(owner, "change", plan="professional")
    assert lost.status_code == 503
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "professional", "the webhook tells the rest"
    again = await ask(owner, "change", plan="professional")
    assert (again.status_code, again.json()["outcome"]) == (200, "applied")
    once_more = await ask(owner, "change", plan="professional")
    assert (once_more.status_code, once_more.json()["code"]) == (409, "same_plan")
    updates = [i for i in shop.account.find("invoice") if i["billing_reason"].endswith("update")]
    assert len(updates) == 1, "billed once"


@pytest.mark.parametrize("seed", range(4))
async def test_a_month_told_in_any_order_and_twice_ends_where_stripe_ends(
    shop: Shop, seed: int
) -> None:
    """Everything from the purchase to a recovered renewal, shuffled, with repeats."""
    owner = await an_owner(shop.service)
    session = await checkout(owner)
    await shop.account.click(session["url"])
    sent = await shop.account.collect()
    await shop.decline_from_now_on()
    shop.clock.advance(days=30, hours=2)
    await shop.account.control("clock/advance", seconds=0)
    sent += await shop.account.collect()
    await shop.decline_from_now_on(None)
    shop.clock.advance(days=4)
    await shop.account.control("clock/advance", seconds=0)
    sent += await shop.account.collect()

    # Signatures are minutes old at most; what is shuffled is what was kept.
    inbox = shop.service.services[StripeInbox]
    async with shop.service.client() as client:
        for body, headers in sent:
            at = int(headers["Stripe-Signature"].partition(",")[0].removeprefix("t="))
            shop.clock.set(shop.clock.now().fromtimestamp(at, shop.clock.now().tzinfo))
            assert (await client.post(PATH, content=body, headers=headers)).status_code == 200
    kept = [row["event_id"] for row in await shop.rows("select event_id from stripe_events")]
    order = [*kept, *kept]
    random.Random(seed).shuffle(order)
    for event_id in order:
        await inbox.handle(event_id)

    after = await subscription(owner)
    assert (after["tier"], after["status"], after["payment_state"]) == (
        "professional",
        "active",
        "ok",
    )
    periods = await shop.rows("select starts_at from paid_periods order by starts_at")
    assert [period["starts_at"].month for period in periods] == [11, 12]
    assert await shop.rows("select 1 from invoice_collections where settled_at is null") == []
    granted = await shop.service.services[OrganizationService].entitlements(owner.organization_id)
    assert granted.window is not None
    assert granted.window.start == periods[-1]["starts_at"]
    page = await call(owner, "GET", "invoices")
    assert {invoice["status"] for invoice in page.json()["data"]} == {"paid"}


async def test_a_promotion_code_is_passed_through(shop: Shop) -> None:
    made = await shop.account.http.post(
        "/v1/coupons",
        data={"percent_off": "50", "duration": "once", "id": "HALF"},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert made.status_code == 200, made.text
    made = await shop.account.http.post(
        "/v1/promotion_codes",
        data={"promotion[type]": "coupon", "promotion[coupon]": "HALF", "code": "SPRING"},
        headers={"Authorization": "Bearer sk_test_sandbox"},
    )
    assert made.status_code == 200, made.text
    owner = await subscribed(shop, promo_code="SPRING")
    [invoice] = (await call(owner, "GET", "invoices")).json()["data"]
    assert invoice["amount_due"] == 14950
    assert (await subscription(owner))["tier"] == "professional"
    refused = await call(owner, "POST", "checkout", {"plan": "starter", **URLS})
    assert refused.status_code == 409
