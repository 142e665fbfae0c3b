"""From registration to a paid plan, and what can go wrong on the way."""

from __future__ import annotations

from typing import Any

from tests.factories.people import Owner, an_owner
from tests.support.stripe_account import Shop

URLS = {
    "success_url": "https://app.test/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://app.test/plans",
}


async def checkout(owner: Owner, plan: str = "professional", **fields: Any) -> dict[str, Any]:
    answer = await owner.client.post(
        "/api/v1/billing/checkout", json={"plan": plan, **URLS, **fields}
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def subscription(owner: Owner) -> dict[str, Any]:
    answer = await owner.client.get("/api/v1/billing/subscription")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def subscribed(shop: Shop, plan: str = "professional", **fields: Any) -> Owner:
    """An owner whose organization has just paid for *plan*."""
    owner = await an_owner(shop.service)
    session = await checkout(owner, plan, **fields)
    await shop.account.click(session["url"])
    await shop.deliver()
    return owner


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
