"""Subscriptions, bought as customers buy them: over HTTP and on the hosted page."""

from __future__ import annotations

from typing import Any

import httpx

from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.models import CheckoutAttempt
from tests.factories.people import Owner, an_owner
from tests.support.service import Service
from tests.support.stripe_account import Shop

URLS = {
    "success_url": "https://app.test/done?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://app.test/plans",
}


async def a_visit(service: Service, organization_id: OrganizationId) -> str:
    """A page that was paid, put where Stripe's report would have put it; its id."""
    page = f"cs_test_{new_id().hex}"
    async with service.work.begin(organization_id) as session:
        session.add(
            CheckoutAttempt(
                organization_id=organization_id,
                id=new_id(),
                plan="starter",
                interval="month",
                price_ids=[["price_starter", 1]],
                stripe_customer_id="cus_example",
                success_url=URLS["success_url"],
                cancel_url=URLS["cancel_url"],
                trial_days=0,
                order_metadata={},
                state="complete",
                has_failed=False,
                stripe_session_id=page,
                created_at=service.clock.now(),
            )
        )
    return page


async def call(owner: Owner, method: str, path: str, body: Any = None) -> httpx.Response:
    """Call the API, signing in again first where months have passed since the last time."""
    answer = await owner.client.request(method, f"/api/v1/billing/{path}", json=body)
    if answer.status_code == 401:
        signed_in = await owner.client.post(
            "/api/v1/auth/login", json={"email": owner.email, "password": owner.password}
        )
        assert signed_in.status_code == 200, signed_in.text
        owner.client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        answer = await owner.client.request(method, f"/api/v1/billing/{path}", json=body)
    return answer


async def checkout(owner: Owner, plan: str = "professional", **fields: Any) -> dict[str, Any]:
    answer = await call(owner, "POST", "checkout", {"plan": plan, **URLS, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def subscription(owner: Owner) -> dict[str, Any]:
    answer = await call(owner, "GET", "subscription")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def subscribed(shop: Shop, plan: str = "professional", **fields: Any) -> Owner:
    """An owner whose organization has just paid for *plan*."""
    owner = await an_owner(shop.service)
    session = await checkout(owner, plan, **fields)
    await shop.account.click(session["url"])
    await shop.deliver()
    return owner


async def ask(owner: Owner, verb: str, **body: Any) -> httpx.Response:
    """POST /billing/subscription/*verb*."""
    return await call(owner, "POST", f"subscription/{verb}", body)
