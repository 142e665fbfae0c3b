"""Endpoints of earlier versions are sent the shapes of their day."""

import json
from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account

HOOK = "https://shop.test/hook"


async def _told(account: Account, version: str) -> dict[str, list[Any]]:
    """What an endpoint of a version hears of a paid renewal with a discount, by type."""
    await account.control(
        "webhook_endpoints", url=HOOK, secret="whsec_a", api_version=version
    )  # fmt: skip
    coupon = await account.stripe.v1.coupons.create_async(
        {"percent_off": 10, "duration": "forever"}
    )
    await account.stripe.v1.promotion_codes.create_async(
        {"code": "TEN", "promotion": {"type": "coupon", "coupon": coupon.id}}
    )
    discounts: Any = [{"coupon": coupon.id}]
    subscription = await account.subscription(discounts=discounts)
    await account.checkout()
    await account.control(f"renew/{subscription.id}")
    charge = (await account.stripe.v1.charges.list_async()).data[0]
    await account.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 5})
    while await account.app.state.deliverer.deliver_due():
        pass
    told: dict[str, list[Any]] = {}
    for _, body, headers in account.mailbox.received:
        stripe.WebhookSignature.verify_header(
            body, headers["Stripe-Signature"], "whsec_a", tolerance=None
        )
        event = json.loads(body)
        assert event["api_version"] == version
        told.setdefault(event["type"], []).append(event["data"])
    return told


@pytest.mark.parametrize("version", ["2020-08-27", "2024-06-20"])
async def test_the_shapes_before_basil(account: Account, version: str) -> None:
    told = await _told(account, version)
    subscription = told["customer.subscription.updated"][-1]["object"]
    [item] = subscription["items"]["data"]
    assert subscription["current_period_end"] > subscription["current_period_start"]
    assert "current_period_end" not in item
    assert subscription["plan"]["id"] == item["plan"]["id"] == item["price"]["id"]
    assert subscription["plan"]["object"] == "plan"
    assert subscription["discount"]["coupon"]["percent_off"] == 10
    for gone in ("billing_mode", "status_details", "billing_schedules"):
        assert gone not in subscription
    previous = told["customer.subscription.updated"][-1]["previous_attributes"]
    assert previous["current_period_end"] == subscription["current_period_start"]
    assert "items" not in previous
    invoice = told["invoice.paid"][-1]["object"]
    charge = told["charge.succeeded"][-1]["object"]
    assert invoice["subscription"] == subscription["id"]
    assert invoice["paid"] is True
    assert invoice["paid_out_of_band"] is False
    assert (invoice["charge"], invoice["payment_intent"]) == (
        charge["id"],
        charge["payment_intent"],
    )
    assert charge["invoice"] == invoice["id"]
    for gone in ("parent", "total_taxes", "payments"):
        assert gone not in invoice
    [line] = invoice["lines"]["data"]
    assert (line["type"], line["proration"]) == ("subscription", False)
    assert line["price"]["id"] == line["plan"]["id"] == "price_starter"
    assert "parent" not in line
    code = told["promotion_code.created"][0]["object"]
    assert code["coupon"]["percent_off"] == 10
    refunded = told["charge.refunded"][0]["object"]
    assert ("refunds" in refunded) == (version == "2020-08-27")


async def test_the_shapes_of_basil(account: Account) -> None:
    told = await _told(account, "2025-03-31.basil")
    subscription = told["customer.subscription.updated"][-1]["object"]
    assert "current_period_end" not in subscription
    assert "current_period_end" in subscription["items"]["data"][0]
    assert told["invoice.paid"][-1]["object"]["parent"]["type"] == "subscription_details"
    assert told["promotion_code.created"][0]["object"]["coupon"]["percent_off"] == 10


async def test_what_was_sent_in_an_old_shape_is_sent_again_byte_for_byte(
    account: Account,
) -> None:
    await account.control(
        "webhook_endpoints", url=HOOK, secret="whsec_a", api_version="2024-06-20"
    )  # fmt: skip
    subscription = await account.subscription()
    account.mailbox.answers = [500] * 100
    await account.app.state.deliverer.deliver_due()
    first = {body for _, body, _ in account.mailbox.received}
    account.mailbox.received.clear()
    await account.stripe.v1.subscriptions.cancel_async(subscription.id)
    account.clock.advance(seconds=5)
    account.mailbox.answers.clear()
    while await account.app.state.deliverer.deliver_due():
        pass
    assert first <= {body for _, body, _ in account.mailbox.received}


async def test_an_endpoint_keeps_the_version_it_was_put_up_with(account: Account) -> None:
    made = await account.stripe.v1.webhook_endpoints.create_async(
        {"url": HOOK, "enabled_events": ["customer.created"], "api_version": "2024-06-20"}
    )
    assert made.api_version == "2024-06-20"
    params: Any = {"url": HOOK, "enabled_events": ["*"], "api_version": "2017-01-27"}
    with pytest.raises(stripe.InvalidRequestError):
        await account.stripe.v1.webhook_endpoints.create_async(params)
