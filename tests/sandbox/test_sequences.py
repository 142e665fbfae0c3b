"""What Stripe tells, in which order, for each thing that can happen to a subscription."""

from typing import Any

import pytest

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600
MONTH = 31 * DAY
PAID = ["charge.succeeded", "payment_intent.succeeded", "invoice_payment.paid", "invoice.paid",
        "invoice.payment_succeeded"]  # fmt: skip


async def test_a_trial_from_checkout_to_its_first_payment(account: Account) -> None:
    session = await account.checkout(
        customer_email="a@example.com", subscription_data={"trial_period_days": 14}
    )
    await account.http.post(session.url, data={"action": "pay"})
    assert await account.event_types() == [
        "customer.created",
        "payment_method.attached",
        "setup_intent.created",
        "setup_intent.succeeded",
        "customer.updated",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    [invoice] = await _told(account, "invoice.paid")
    assert (invoice["billing_reason"], invoice["amount_due"], invoice["status"]) == (
        "subscription_create",
        0,
        "paid",
    )
    [session_] = await _told(account, "checkout.session.completed")
    assert session_["payment_status"] == "no_payment_required"
    before = len(await account.event_types())
    await account.advance(days=14)
    assert (await account.event_types())[before:] == [
        "invoice.upcoming",
        "customer.subscription.trial_will_end",
        "invoice.created",
        "customer.subscription.updated",
    ]
    [changed] = await account.events("customer.subscription.updated")
    assert changed["data"]["previous_attributes"]["status"] == "trialing"
    [_, draft] = await _told(account, "invoice.created")
    assert (draft["status"], draft["billing_reason"]) == ("draft", "subscription_cycle")
    before = len(await account.event_types())
    await account.advance(hours=1)
    assert (await account.event_types())[before:] == [
        "payment_intent.created",
        "invoice.finalized",
        *PAID,
    ]


async def test_a_renewal(account: Account) -> None:
    await account.subscription()
    before = len(await account.event_types())
    await account.advance(days=31)
    assert (await account.event_types())[before:] == [
        "invoice.upcoming",
        "invoice.created",
        "customer.subscription.updated",
    ]
    changed = (await account.events("customer.subscription.updated"))[-1]
    assert changed["data"]["previous_attributes"].keys() == {"items", "latest_invoice"}
    before = len(await account.event_types())
    await account.advance(hours=1)
    assert (await account.event_types())[before:] == [
        "payment_intent.created",
        "invoice.finalized",
        *PAID,
    ]


@pytest.mark.parametrize(
    ("fate", "last"),
    [
        ("cancel", "customer.subscription.deleted"),
        ("unpaid", "customer.subscription.updated"),
        ("past_due", "invoice.payment_failed"),
        ("pause", "customer.subscription.paused"),
    ],
)
async def test_a_renewal_that_is_never_paid(account: Account, fate: str, last: str) -> None:
    await account.control("settings", after_retries=fate)
    await _failing(account)
    await account.advance(days=31)
    before = len(await account.event_types())
    await account.advance(hours=1)
    failed = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"]
    assert (await account.event_types())[before:] == [
        "payment_intent.created",
        "invoice.finalized",
        *failed,
        "customer.subscription.updated",
    ]
    for days in (3, 5):
        before = len(await account.event_types())
        await account.advance(days=days)
        assert (await account.event_types())[before:] == failed
    before = len(await account.event_types())
    await account.advance(days=7)
    types = (await account.event_types())[before:]
    assert types[:3] == failed
    assert types[-1] == last
    told = await _told(account, "invoice.payment_failed")
    first = NOW + MONTH + HOUR
    assert [one["next_payment_attempt"] for one in told] == [
        first + 3 * DAY,
        first + 8 * DAY,
        first + 15 * DAY,
        None,
    ]
    assert [one["attempt_count"] for one in told] == [1, 2, 3, 4]


async def test_an_upgrade_billed_later_and_at_once(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    item = subscription["items"].data[0].id
    await account.advance(days=10)
    before = len(await account.event_types())
    await v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item, "price": "price_pro"}]}
    )
    assert sorted((await account.event_types())[before:]) == [
        "customer.subscription.updated",
        "invoiceitem.created",
        "invoiceitem.created",
    ]
    before = len(await account.event_types())
    await v1.subscriptions.update_async(
        subscription.id,
        {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"},
    )
    assert (await account.event_types())[before:] == [
        "invoiceitem.created",
        "invoiceitem.created",
        "customer.subscription.updated",
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        *PAID,
    ]
    invoice = (await _told(account, "invoice.paid"))[-1]
    assert invoice["billing_reason"] == "subscription_update"
    assert len(invoice["lines"]["data"]) == 4


async def test_an_upgrade_that_waits_for_its_payment(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await _failing(account)
    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "price": "price_pro"}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
    before = len(await account.event_types())
    waiting = await v1.subscriptions.update_async(subscription.id, change)
    types = (await account.event_types())[before:]
    assert "invoice.payment_failed" in types
    assert types[-1] == "customer.subscription.updated"
    before = len(await account.event_types())
    await v1.invoices.pay_async(str(waiting.latest_invoice), {"payment_method": "pm_card_visa"})
    assert (await account.event_types())[before:] == [
        "payment_method.attached",
        *PAID,
        "customer.subscription.updated",
        "customer.subscription.pending_update_applied",
    ]
    change["items"] = [{"id": subscription["items"].data[0].id, "quantity": 2}]
    await v1.subscriptions.update_async(subscription.id, change)
    before = len(await account.event_types())
    await account.advance(hours=23)
    types = (await account.event_types())[before:]
    assert types[0] == "customer.subscription.updated"
    assert "customer.subscription.pending_update_expired" in types
    assert types[-1] == "invoice.voided"


async def test_an_end_at_the_end_of_the_period(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    told = (await _told(account, "customer.subscription.updated"))[-1]
    assert (told["cancel_at_period_end"], told["cancel_at"], told["canceled_at"]) == (
        True,
        NOW + MONTH,
        NOW,
    )
    await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    told = (await _told(account, "customer.subscription.updated"))[-1]
    assert (told["cancel_at_period_end"], told["cancel_at"], told["canceled_at"]) == (
        False,
        None,
        None,
    )
    await v1.subscriptions.update_async(subscription.id, {"cancel_at": NOW + MONTH})
    before = len(await account.event_types())
    await account.advance(days=31)
    assert (await account.event_types())[before:] == ["customer.subscription.deleted"]
    [ended] = await _told(account, "customer.subscription.deleted")
    assert (ended["status"], ended["ended_at"]) == ("canceled", NOW + MONTH)


async def test_an_end_at_once(account: Account) -> None:
    subscription = await account.subscription()
    before = len(await account.event_types())
    await account.stripe.v1.subscriptions.cancel_async(subscription.id)
    assert (await account.event_types())[before:] == ["customer.subscription.deleted"]


async def test_a_pause_and_its_end(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    before = len(await account.event_types())
    await v1.subscriptions.pause_async(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    await v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )
    assert (await account.event_types())[before:] == [
        "customer.subscription.updated",
        "customer.subscription.paused",
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "customer.subscription.updated",
        *PAID,
        "customer.subscription.updated",
        "customer.subscription.resumed",
    ]


async def test_a_debit_that_arrives_and_one_that_comes_back(account: Account) -> None:
    session = await account.checkout(customer_email="a@example.com")
    await account.http.post(session.url, data={"action": "delayed"})
    assert (await account.event_types())[-3:] == [
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
    ]
    before = len(await account.event_types())
    await account.advance(days=3)
    assert (await account.event_types())[before:] == [
        *PAID,
        "checkout.session.async_payment_succeeded",
    ]


async def test_what_the_payer_never_confirmed(account: Account) -> None:
    customer = await account.customer(card="pm_card_threeDSecure2Required")
    await account.subscription(customer=customer.id)
    before = len(await account.event_types())
    await account.advance(hours=23)
    assert (await account.event_types())[before:] == [
        "customer.subscription.updated",
        "payment_intent.canceled",
        "invoice.voided",
    ]
    told = (await _told(account, "customer.subscription.updated"))[-1]
    assert told["status"] == "incomplete_expired"


async def _told(account: Account, kind: str) -> list[dict[str, Any]]:
    return [event["data"]["object"] for event in await account.events(kind)]


async def _failing(account: Account) -> Any:
    """A running subscription whose next payment will be declined."""
    subscription = await account.subscription()
    methods = await account.stripe.v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    return subscription
