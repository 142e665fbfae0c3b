"""From registration to a paid plan, and what can go wrong on the way."""

from __future__ import annotations

from app.gateways.stripe.gateway import StripeGateway
from tests.factories.people import an_owner
from tests.factories.subscriptions import URLS, checkout, subscribed, subscription
from tests.support.stripe_account import Shop


async def test_paying_on_the_page_gives_the_plan_when_the_webhook_comes(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    before = await subscription(owner)
    assert (before["tier"], before["status"]) == ("free", "none")

    session = await checkout(owner)
    page = await shop.account.http.get(session["url"])
    assert page.status_code == 200
    paid = await shop.account.click(session["url"])
    assert paid.headers["location"] == f"https://app.test/done?session={session['id']}"
    assert (await subscription(owner))["tier"] == "free", "the return of the browser grants nothing"

    await shop.deliver()
    after = await subscription(owner)
    assert (after["tier"], after["plan"], after["status"]) == (
        "professional",
        "professional",
        "active",
    )
    assert (after["amount"], after["currency"], after["interval"]) == (29900, "usd", "month")
    assert after["current_period_start"] == "2026-11-21T09:00:00Z"
    assert after["current_period_end"] == "2026-12-21T09:00:00Z"
    assert "api_access" in after["features"]
    organization = (await owner.client.get(f"/api/v1/organizations/{owner.id}")).json()
    assert organization["tier"] == "professional"
    events = await shop.rows("select type, state, note from stripe_events order by id")
    assert {"customer.subscription.created", "invoice.paid", "checkout.session.completed"} <= {
        event["type"] for event in events if event["state"] == "handled"
    }
    assert not [event for event in events if event["state"] in {"pending", "dead"}]
    invoices = (await owner.client.get("/api/v1/billing/invoices")).json()["data"]
    assert len(invoices) == 1


async def test_a_declined_card_buys_nothing_and_a_better_one_does(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    session = await checkout(owner)
    declined = await shop.account.click(session["url"], "decline")
    assert declined.status_code == 402
    await shop.deliver()
    assert (await subscription(owner))["status"] == "none"
    await shop.account.click(session["url"])
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "professional"


async def test_asking_again_returns_the_open_page_and_another_plan_closes_it(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    first = await checkout(owner)
    assert await checkout(owner) == first
    other = await checkout(owner, "starter")
    assert other["id"] != first["id"]
    await shop.account.click(first["url"])
    await shop.deliver()
    assert (await subscription(owner))["status"] == "none", "the closed page cannot be paid"
    await shop.account.click(other["url"])
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "starter"


async def test_a_page_that_ran_out_is_replaced(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    first = await checkout(owner)
    await shop.advance(hours=25)
    assert (await checkout(owner))["id"] != first["id"]


async def test_no_second_subscription_before_or_after_the_webhook(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    session = await checkout(owner)
    await shop.account.click(session["url"])
    for _ in ("the event is on its way", "the event has come"):
        answer = await owner.client.post(
            "/api/v1/billing/checkout", json={"plan": "enterprise", **URLS}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")
        await shop.deliver()


async def test_a_trial_is_given_once(shop: Shop) -> None:
    owner = await subscribed(shop, trial_days=14)
    during = await subscription(owner)
    assert (during["tier"], during["status"]) == ("professional", "trialing")
    assert during["trial_end"] == "2026-12-05T09:00:00Z"
    windows = await shop.rows("select starts_at, ends_at from paid_periods")
    assert len(windows) == 1, "a trial's invoice of nothing opens a window too"

    answer = await owner.client.post(
        "/api/v1/billing/subscription/cancel", json={"at_period_end": False}
    )
    assert answer.status_code == 200, answer.text
    await shop.deliver()
    assert (await subscription(owner))["tier"] == "free"

    session = await checkout(owner, trial_days=14)
    await shop.account.click(session["url"])
    await shop.deliver()
    again = await subscription(owner)
    assert (again["status"], again["trial_end"]) == ("active", None)


async def test_the_order_names_the_organization_and_its_metered_prices(shop: Shop) -> None:
    owner = await subscribed(shop, "enterprise_plus", metadata={"source": "spring"})
    [bought] = shop.account.find("subscription")
    assert bought["metadata"]["organization_id"] == owner.id
    assert bought["metadata"]["source"] == "spring"
    assert (await subscription(owner))["tier"] == "enterprise_plus"
    stripe = shop.service.services[StripeGateway]  # type: ignore[type-abstract]
    items = (await stripe.get_subscription(bought["id"])).items
    assert {(item.price_id, item.is_metered) for item in items} == {
        ("price_enterprise_plus", False),
        ("price_tokens_input", True),
        ("price_tokens_output", True),
        ("price_debates", True),
    }


async def test_what_cannot_be_bought_is_said_clearly(shop: Shop) -> None:
    owner = await an_owner(shop.service)
    for plan, interval, code in (
        ("golden", "month", "unknown_plan"),
        ("free", "month", "plan_not_for_sale"),
        ("starter", "year", "plan_not_for_sale"),
    ):
        answer = await owner.client.post(
            "/api/v1/billing/checkout", json={"plan": plan, "interval": interval, **URLS}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    answer = await owner.client.post(
        "/api/v1/billing/checkout", json={"plan": "starter", "promo_code": "NONE", **URLS}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "promo_code_unknown")
