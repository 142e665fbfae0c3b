"""Deliveries as a test wants them: held, mixed up, twice, lost, late, signed by two secrets."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account, running

HOOK = "https://shop.test/hook"


async def _deliver(account: Account) -> list[str]:
    """The types of what arrives now, in the order in which it was sent."""
    before = len(account.mailbox.received)
    while await account.app.state.deliverer.deliver_due():
        pass
    return [json.loads(body)["data"]["object"]["name"]
            for _, body, _ in account.mailbox.received[before:]]  # fmt: skip


async def _customers(account: Account, names: str) -> None:
    for name in names:
        await account.stripe.v1.customers.create_async({"name": name})


async def _undelivered(account: Account) -> list[str]:
    page = await account.stripe.v1.events.list_async({"delivery_success": False, "limit": 100})
    return [str(event.data.object["name"]) for event in page.data][::-1]


@pytest.fixture
async def shop(account: Account) -> Account:
    """An account whose events go to one endpoint."""
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
    return account


async def test_what_is_held_waits_for_its_release(shop: Account) -> None:
    await _customers(shop, "a")
    assert (await shop.control("deliveries/hold"))["deliveries"] == 1
    await _customers(shop, "b")
    assert await _deliver(shop) == []
    assert await _undelivered(shop) == ["a", "b"]
    await shop.control("deliveries/release")
    assert await _deliver(shop) == ["a", "b"]
    await _customers(shop, "c")
    assert await _deliver(shop) == ["c"]


async def test_only_some_types_may_be_held(shop: Account) -> None:
    await shop.control("deliveries/hold", types=["customer.updated"])
    await _customers(shop, "a")
    [customer] = (await shop.stripe.v1.customers.list_async()).data
    await shop.stripe.v1.customers.update_async(customer.id, {"name": "A"})
    assert await _deliver(shop) == ["a"]
    await shop.control("deliveries/release")
    assert await _deliver(shop) == ["A"]


async def test_a_seed_mixes_up_what_waits_and_does_so_again(shop: Account) -> None:
    orders = []
    for _ in range(2):
        await _customers(shop, "abcdefg")
        await shop.control("deliveries/shuffle", seed=7)
        orders.append(await _deliver(shop))
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == list("abcdefg")
    assert orders[0] != list("abcdefg")
    await _customers(shop, "abc")
    await shop.control("deliveries/shuffle", backwards=True)
    assert await _deliver(shop) == ["c", "b", "a"]


async def test_what_is_sent_twice_is_one_event(shop: Account) -> None:
    await _customers(shop, "ab")
    assert (await shop.control("deliveries/duplicate", count=1, times=2))["deliveries"] == 2
    assert sorted(await _deliver(shop)) == ["a", "a", "a", "b"]
    bodies = [body for _, body, _ in shop.mailbox.received]
    assert len(set(bodies)) == 2
    [_, first] = (await shop.stripe.v1.events.list_async()).data
    assert first.pending_webhooks == 0
    await shop.control("deliveries/duplicate", event=first.id)
    assert await _deliver(shop) == ["a"]


async def test_a_copy_that_is_not_acknowledged_leaves_the_event_delivered(shop: Account) -> None:
    await _customers(shop, "a")
    await shop.control("deliveries/duplicate")
    shop.mailbox.answers = [200, 500]
    await _deliver(shop)
    assert await _undelivered(shop) == []


async def test_what_is_lost_counts_as_undelivered(shop: Account) -> None:
    await _customers(shop, "abc")
    assert (await shop.control("deliveries/drop", count=2))["deliveries"] == 2
    assert await _deliver(shop) == ["c"]
    assert await _undelivered(shop) == ["a", "b"]
    [event] = [e for e in (await shop.stripe.v1.events.list_async()).data
               if e.data.object["name"] == "a"]  # fmt: skip
    assert event.pending_webhooks == 1
    await shop.control(f"redeliver/{event.id}")
    assert await _deliver(shop) == ["a"]
    assert await _undelivered(shop) == ["b"]


async def test_what_is_late_comes_later(shop: Account) -> None:
    await _customers(shop, "ab")
    await shop.control("deliveries/delay", types=["customer.created"], count=1, seconds=60)
    assert await _deliver(shop) == ["b"]
    shop.clock.advance(seconds=61)
    assert await _deliver(shop) == ["a"]


async def test_events_are_listed_by_type_time_and_delivery(shop: Account) -> None:
    await _customers(shop, "a")
    await _deliver(shop)
    await shop.advance(days=1)
    await shop.subscription(customer=(await shop.customer()).id)
    listed: Any = {"types": ["invoice.paid", "customer.created"], "limit": 10}
    events = shop.stripe.v1.events

    async def types(**more: Any) -> list[str]:
        params: Any = {**listed, **more}
        return [event.type for event in (await events.list_async(params)).data]

    day = 1772366400 + 86_400
    assert await types() == ["invoice.paid", "customer.created", "customer.created"]
    assert await types(created={"gte": day}) == ["invoice.paid", "customer.created"]
    assert await types(created={"lt": day}) == ["customer.created"]
    assert await types(delivery_success=True) == ["customer.created"]
    assert await types(delivery_success=False, created={"gt": day}) == []
    first = (await events.list_async({"types": ["customer.created"]})).data[-1]
    newer = await events.list_async({"ending_before": first.id, "delivery_success": False})
    assert all(event.created >= day for event in newer.data)
    assert len(newer.data) == 10


async def test_after_a_rotation_both_secrets_sign_until_the_old_one_expires(
    shop: Account,
) -> None:
    [endpoint] = (await shop.stripe.v1.webhook_endpoints.list_async()).data
    new = (await shop.control(f"webhook_endpoints/{endpoint.id}/rotate", expires_in=600))["secret"]
    await _customers(shop, "a")
    await _deliver(shop)
    _, body, headers = shop.mailbox.received[-1]
    assert headers["Stripe-Signature"].count("v1=") == 2
    for secret in (new, "whsec_known"):
        stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], secret)
    shop.clock.advance(seconds=600)
    await _customers(shop, "b")
    await _deliver(shop)
    _, body, headers = shop.mailbox.received[-1]
    stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], new)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], "whsec_known")


async def test_a_file_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    database = str(tmp_path / "sandbox.db")
    async with running(database) as account:
        await account.control("webhook_endpoints", url=HOOK, secret="whsec_known")
        await _customers(account, "a")
    with sqlite3.connect(database) as old:
        for column in ("rank", "body", "is_copy"):
            old.execute(f"ALTER TABLE deliveries DROP COLUMN {column}")
        old.execute("DROP TABLE meter_events")
    old.close()
    async with running(database) as account:
        await _customers(account, "b")
        await account.control("deliveries/shuffle", backwards=True)
        assert await _deliver(account) == ["b", "a"]
