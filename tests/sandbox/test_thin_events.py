"""Thin events beside their twins with the object in them."""

import json
from typing import Any

import pytest
import stripe
from stripe.events._event_classes import _V2_EVENT_CLASS_LOOKUP

from app.sandbox.core.thin import TWINS
from tests.sandbox.conftest import Account
from tests.support import stripe_contract as contract

HOOK = "https://shop.test/hook"


async def _arrived(account: Account) -> list[dict[str, Any]]:
    while await account.app.state.deliverer.deliver_due():
        pass
    return [json.loads(body) for _, body, _ in account.mailbox.received]


def test_every_twin_is_an_event_that_stripe_has() -> None:
    assert {f"v1.{name}" for name in TWINS} <= set(_V2_EVENT_CLASS_LOOKUP)


@pytest.mark.parametrize("payload", ["snapshot", "thin", "both"])
async def test_an_endpoint_takes_one_form_or_both(account: Account, payload: str) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_a", payload=payload)
    await account.stripe.v1.customers.create_async({"name": "x"})
    expected = {
        "snapshot": ["customer.created"],
        "thin": ["v1.customer.created"],
        "both": ["customer.created", "v1.customer.created"],
    }
    arrived = await _arrived(account)
    assert [one["type"] for one in arrived] == expected[payload]


async def test_a_notification_leads_to_the_object_and_to_its_twin(account: Account) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_a", payload="both")
    subscription = await account.subscription()
    await account.stripe.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": True}, {"idempotency_key": "stop"}
    )
    arrived = await _arrived(account)
    snapshots = {one["id"]: one for one in arrived if one["object"] == "event"}
    thin = [one for one in arrived if one["object"] == "v2.core.event"]
    assert len(thin) >= len(snapshots)
    for sent, (_, body, headers) in zip(arrived, account.mailbox.received, strict=True):
        if sent["object"] == "event":
            stripe.Webhook.construct_event(
                body, headers["Stripe-Signature"], "whsec_a", tolerance=10**9
            )
            continue
        notification: Any = account.stripe.parse_event_notification(
            body, headers["Stripe-Signature"], "whsec_a", tolerance=10**9
        )
        fetched = (await notification.fetch_event_async()).to_dict(for_json=True)
        if "snapshot_event" in fetched:
            told = snapshots[fetched["snapshot_event"]]
            assert sent["type"] == f"v1.{told['type']}"
            assert notification.related_object.id == told["data"]["object"]["id"]
    last = [one for one in thin if one["type"].startswith("v1.customer.subscription")]
    assert [one["type"].removeprefix("v1.customer.subscription.") for one in last] == [
        "created",
        "updated",
        "active",
        "updated",
        "cancel_at_changed",
    ]
    assert last[-1]["reason"]["request"]["idempotency_key"] == "stop"
    changes = await account.stripe.v2.core.events.retrieve_async(last[-2]["id"])
    changed = changes.to_dict(for_json=True)["changes"]
    assert changed["before"]["cancel_at_period_end"] is False
    assert changed["after"]["cancel_at_period_end"] is True


async def test_a_thin_type_can_be_asked_for_alone(account: Account) -> None:
    await account.control(
        "webhook_endpoints", url=HOOK, secret="whsec_a", payload="thin",
        enabled_events=["v1.customer.subscription.past_due", "invoice.paid"],
    )  # fmt: skip
    subscription = await account.subscription()
    [charge] = (await account.stripe.v1.charges.list_async()).data
    await account.control(
        f"payment_methods/{charge.payment_method}", decline_code="generic_decline"
    )
    await account.control(f"renew/{subscription.id}")
    assert [one["type"] for one in await _arrived(account)] == [
        "v1.invoice.paid",
        "v1.customer.subscription.past_due",
    ]


async def test_stripes_own_call_takes_no_thin_types(account: Account) -> None:
    params: Any = {"url": HOOK, "enabled_events": ["v1.invoice.paid"]}
    with pytest.raises(stripe.InvalidRequestError, match="event destination"):
        await account.stripe.v1.webhook_endpoints.create_async(params)


@pytest.mark.skipif(not contract.SPEC.exists(), reason="Stripe's spec is not at hand")
async def test_thin_events_have_stripes_shape(account: Account) -> None:
    await account.control("webhook_endpoints", url=HOOK, secret="whsec_a", payload="thin")
    await account.subscription()
    await account.advance(days=32)
    arrived = await _arrived(account)
    assert len(arrived) > 20
    for sent in arrived:
        assert contract.response_problems(sent) == []
        fetched = await account.stripe.v2.core.events.retrieve_async(sent["id"])
        assert contract.response_problems(fetched.to_dict(for_json=True)) == []
