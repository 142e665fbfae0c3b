"""Events that say little: about customers, cards, invoices to come, and objects of old shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.gateways.stripe.gateway import StripeCustomer
from app.subscriptions.service import StripeCustomers
from tests.factories.subscriptions import subscription
from tests.features.subscriptions.conftest import Store


async def test_an_invoice_to_come_names_its_subscription_in_either_shape(store: Store) -> None:
    for shape in ("new", "old", "expanded"):
        owner = await store.subscribed()
        bought = store.bought_by(owner)
        named: Any = {
            "new": {"parent": {"subscription_details": {"subscription": bought.id}}},
            "old": {"subscription": bought.id, "parent": None},
            "expanded": {"subscription": {"id": bought.id, "object": "subscription"}},
        }[shape]
        event = await store.tell("invoice.upcoming", None, data={"object": {**named, "id": None}})
        assert event["state"] == "handled", shape
        assert (await subscription(owner))["tier"] == "professional", shape
    event = await store.tell("invoice.upcoming", None, data={"object": {"subscription": 7}})
    assert (event["state"], event["note"]) == ("ignored", "no_object")


async def test_a_customer_deleted_at_stripe_loses_what_ended_with_them(store: Store) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    gone = StripeCustomer(bought.customer_id, True, None, False)
    store.stripe.customers[bought.customer_id] = gone
    store.stripe.subscriptions[bought.id] = replace(
        bought, status="canceled", ended_at=store.clock.now()
    )
    event = await store.tell("customer.deleted", bought.customer_id)
    assert event["state"] == "handled"
    assert (await subscription(owner))["tier"] == "free"
    await store.tell("customer.deleted", bought.customer_id)
    assert (await subscription(owner))["tier"] == "free"


async def test_news_of_a_customer_who_was_replaced_still_reach_the_organization(
    store: Store,
) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    customers = store.service.services[StripeCustomers]
    await customers.forget(owner.organization_id, bought.customer_id)
    second = await customers.ensure(owner.organization_id, None)
    assert second != bought.customer_id
    store.stripe.subscriptions[bought.id] = replace(
        bought, status="canceled", ended_at=store.clock.now()
    )
    event = await store.tell("customer.subscription.deleted", bought.id)
    assert event["state"] == "handled"
    assert (await subscription(owner))["tier"] == "free"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("customer.updated", {"object": {"id": "{customer}"}}),
        ("payment_method.attached", {"object": {"id": "pm_1", "customer": "{customer}"}}),
        (
            "payment_method.detached",
            {
                "object": {"id": "pm_1", "customer": None},
                "previous_attributes": {"customer": "{customer}"},
            },
        ),
        (
            "payment_method.automatically_updated",
            {"object": {"id": "pm_1", "customer": {"id": "{customer}", "object": "customer"}}},
        ),
    ],
)
async def test_another_card_is_seen_in_every_subscription(
    store: Store, kind: str, data: dict[str, Any]
) -> None:
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    store.stripe.subscriptions[bought.id] = replace(bought, default_payment_method_id="pm_new")
    event = await store.tell(kind, None, data=_filled(data, bought.customer_id))
    assert event["state"] == "handled"
    [row] = await store.rows(
        "select default_payment_method_id as card from subscriptions where organization_id = :id",
        id=owner.organization_id,
    )
    assert row["card"] == "pm_new"
    stranger = await store.tell(kind, None, data=_filled(data, "cus_stranger"))
    assert (stranger["state"], stranger["note"]) == ("ignored", "foreign_customer")


async def test_a_card_of_nobody_is_ignored(store: Store) -> None:
    event = await store.tell("payment_method.attached", "pm_1")
    assert (event["state"], event["note"]) == ("ignored", "no_object")


async def test_a_failure_told_after_its_payment_leaves_nothing_behind(store: Store) -> None:
    """The slow answer to an early question shows the invoice open; it was paid since."""
    owner = await store.subscribed()
    bought = store.bought_by(owner)
    await store.tell("customer.subscription.created", bought.id)
    failed = store.stripe.renew(bought.id, is_paid=False)
    told = await store.receive("invoice.payment_failed", failed.id or "")
    ask = store.stripe.get_subscription
    slow = store.stripe.subscriptions[bought.id]

    async def paid_meanwhile(subscription_id: str) -> Any:
        store.stripe.settle(failed.id or "")
        store.stripe.get_subscription = ask  # type: ignore[method-assign]
        await store.tell("invoice.paid", failed.id or "")
        return slow

    store.stripe.get_subscription = paid_meanwhile  # type: ignore[method-assign]
    await store.inbox.handle(told)
    assert (await store.event(told))["state"] == "handled"
    found = await store.rows(
        "select first_failed_at from invoice_collections where organization_id = :id"
        " and settled_at is null",
        id=owner.organization_id,
    )
    assert found == []
    assert (await subscription(owner))["status"] == "active"


def _filled(data: Any, customer_id: str) -> Any:
    if isinstance(data, dict):
        return {key: _filled(value, customer_id) for key, value in data.items()}
    return data.format(customer=customer_id) if isinstance(data, str) else data
