"""One customer, one page, one subscription: however often, and however many at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.gateways.stripe.errors import StripeUnavailable
from app.gateways.stripe.gateway import CheckoutOrder, CustomerDetails, StripeCheckout
from app.subscriptions.models import CustomerRegistration
from tests.factories.people import an_owner
from tests.factories.subscriptions import URLS, checkout, subscription
from tests.features.subscriptions.conftest import Store
from tests.support.service import Service


async def customers_made(store: Store) -> int:
    return len(store.stripe.customers)


async def test_ten_checkouts_at_once_are_one_customer_and_one_page(store: Store) -> None:
    owner = await an_owner(store.service)
    before = await customers_made(store)
    pages = await asyncio.gather(*(checkout(owner) for _ in range(10)))
    assert len({page["id"] for page in pages}) == 1
    assert await customers_made(store) == before + 1
    [row] = await store.rows(
        "select stripe_customer_id from organizations where id = :id", id=owner.organization_id
    )
    assert row["stripe_customer_id"] in store.stripe.customers


async def test_with_a_key_per_call_there_would_be_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: it is the registration's key that makes the ten one."""
    numbers = iter(range(100))
    monkeypatch.setattr(
        CustomerRegistration, "idempotency_key", property(lambda _: f"naive:{next(numbers)}")
    )
    owner = await an_owner(store.service)
    before = await customers_made(store)
    asking = (checkout(owner) for _ in range(5))
    await asyncio.gather(*asking, return_exceptions=True)
    assert await customers_made(store) > before + 1


async def test_different_plans_at_once_leave_one_page_that_can_be_paid(store: Store) -> None:
    owner = await an_owner(store.service)
    before = set(store.stripe.checkouts)

    async def ask(plan: str) -> int:
        answer = await owner.client.post("/api/v1/billing/checkout", json={"plan": plan, **URLS})
        return answer.status_code

    statuses = Counter(
        await asyncio.gather(*(ask(plan) for plan in ("starter", "professional") * 4))
    )
    assert set(statuses) <= {201, 409}
    assert statuses[201] >= 1
    fresh = [store.stripe.checkouts[name] for name in set(store.stripe.checkouts) - before]
    assert len([page for page in fresh if page.is_open]) == 1


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe made the customer and the page, and the line broke before we heard of it."""
    owner = await an_owner(store.service)
    before = await customers_made(store), len(store.stripe.checkouts)

    async def lost_customer(details: CustomerDetails, *, key: str) -> str:
        await make_customer(details, key=key)
        raise StripeUnavailable

    async def lost_page(order: CheckoutOrder, *, key: str) -> StripeCheckout:
        await make_page(order, key=key)
        raise StripeUnavailable

    make_customer, make_page = store.stripe.create_customer, store.stripe.create_checkout
    for name, lost in (("create_customer", lost_customer), ("create_checkout", lost_page)):
        with monkeypatch.context() as broken:
            broken.setattr(store.stripe, name, lost)
            answer = await owner.client.post(
                "/api/v1/billing/checkout", json={"plan": "starter", **URLS}
            )
            assert (answer.status_code, answer.json()["code"]) == (503, "stripe_unavailable")
            assert answer.headers["retry-after"]
    await checkout(owner, "starter")
    assert (await customers_made(store), len(store.stripe.checkouts)) == (
        before[0] + 1,
        before[1] + 1,
    )


async def test_a_customer_deleted_at_stripe_is_replaced_once(store: Store) -> None:
    owner = await an_owner(store.service)
    page = await checkout(owner, "starter")
    [row] = await store.rows(
        "select stripe_customer_id from organizations where id = :id", id=owner.organization_id
    )
    gone = row["stripe_customer_id"]
    store.stripe.customers[gone] = replace(store.stripe.customers[gone], is_deleted=True)
    await store.stripe.expire_checkout(page["id"])
    before = await customers_made(store)
    await asyncio.gather(*(checkout(owner, "starter") for _ in range(3)), return_exceptions=True)
    await checkout(owner, "starter")
    assert await customers_made(store) == before + 1
    [row] = await store.rows(
        "select stripe_customer_id from organizations where id = :id", id=owner.organization_id
    )
    assert row["stripe_customer_id"] != gone


async def test_a_paid_page_whose_subscription_has_ended_stands_in_nobodys_way(
    store: Store,
) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.stripe.cancel_now(bought.id, comment=None, key="test")
    assert (await checkout(owner))["id"]


async def test_an_idempotency_key_returns_the_first_answer(store: Store) -> None:
    owner = await an_owner(store.service)
    headers = {"Idempotency-Key": f"checkout-{owner.id}"}
    body = {"plan": "starter", **URLS}
    first, second = [
        await owner.client.post("/api/v1/billing/checkout", json=body, headers=headers)
        for _ in range(2)
    ]
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.test/done",
        "/done",
        "//app.test/done",
        "javascript:alert(1)",
        "ftp://app.test/",
        "data:text/html,hi",
        "https://",
        "https:///done",
        "http://[::1",
        "http://app.test:port/",
        "https://app.test/\nSet-Cookie: a=b",
        "https://app.test\\@evil.test/",
        "https://app.test/" + "x" * 2000,
    ],
)
async def test_only_web_addresses_are_returned_to(store: Store, url: str) -> None:
    owner = await an_owner(store.service)
    for path, body in (
        ("checkout", {"plan": "starter", **URLS, "success_url": url}),
        ("checkout", {"plan": "starter", **URLS, "cancel_url": url}),
        ("portal", {"return_url": url}),
    ):
        answer = await owner.client.post(f"/api/v1/billing/{path}", json=body)
        assert answer.status_code == 422, (path, answer.text)


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": None},
        {"tier": "starter"},
        {"trial_days": -1},
        {"trial_days": 31},
        {"interval": "decade"},
        {"metadata": {"k" * 41: "v"}},
        {"metadata": {"k": "v" * 501}},
        {"metadata": {str(number): "v" for number in range(41)}},
        {"unknown": 1},
    ],
)
async def test_an_order_has_a_shape(store: Store, changes: dict[str, Any]) -> None:
    owner = await an_owner(store.service)
    answer = await owner.client.post(
        "/api/v1/billing/checkout", json={"plan": "starter", **URLS, **changes}
    )
    assert answer.status_code == 422, answer.text


async def test_tier_is_another_name_for_plan(store: Store) -> None:
    owner = await an_owner(store.service)
    answer = await owner.client.post("/api/v1/billing/checkout", json={"tier": "starter", **URLS})
    assert answer.status_code == 201


async def test_our_metadata_cannot_be_overwritten(store: Store) -> None:
    owner = await an_owner(store.service)
    page = await checkout(owner, metadata={"organization_id": "org_someone_else", "plan": "gold"})
    metadata = store.stripe.checkouts[page["id"]].metadata
    assert metadata["organization_id"] == owner.id
    assert metadata["plan"] == "professional"


async def test_without_a_key_paid_plans_say_so_and_the_rest_works(service: Service) -> None:
    owner = await an_owner(service)
    assert (await subscription(owner))["tier"] == "free"
    assert (await owner.client.get("/api/v1/billing/payment-methods")).json() == {"data": []}
    for path, body in (
        ("checkout", {"plan": "professional", **URLS}),
        ("portal", {"return_url": "https://app.test/"}),
    ):
        answer = await owner.client.post(f"/api/v1/billing/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "stripe_not_configured")
        assert "STRIPE_SECRET_KEY" in answer.json()["detail"]
