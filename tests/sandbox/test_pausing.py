"""Pauses: asked for, or the account's answer to a failed payment; and the way back."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600
MONTH = 31 * DAY


async def test_a_pause_gives_back_what_is_left(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await account.advance(seconds=MONTH // 3)
    paused = await v1.subscriptions.pause_async(subscription.id)
    assert paused.status == "paused"
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription.type == "pause_requested"
    assert paused.status_details.paused.transitioned_at == NOW + MONTH // 3
    assert (await account.event_types())[-3:] == [
        "invoiceitem.created",
        "customer.subscription.updated",
        "customer.subscription.paused",
    ]
    [back] = (await v1.invoice_items.list_async({"pending": True})).data
    assert (back.amount, back.proration) == (-6600, True)
    await account.advance(days=60)
    assert len((await v1.invoices.list_async()).data) == 1
    resumed = await v1.subscriptions.resume_async(subscription.id)
    assert resumed.status == "active"
    assert resumed.status_details is None
    now = NOW + MONTH // 3 + 60 * DAY
    assert resumed["items"].data[0].current_period_start == now
    invoice = await v1.invoices.retrieve_async(str(resumed.latest_invoice))
    assert (invoice.status, invoice.amount_paid) == ("paid", 9900 - 6600)
    assert "customer.subscription.resumed" in await account.event_types()


async def test_a_pause_may_be_settled_at_once_and_bills_usage_once(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription(
        items=[{"price": "price_starter"}, {"price": "price_tokens"}]
    )
    await _use(account, subscription, 50_000)
    await account.advance(days=10)
    paused = await v1.subscriptions.pause_async(
        subscription.id,
        {
            "invoicing_behavior": "invoice",
            "bill_for": {"unused_time_from": {"type": "none"}},
        },
    )
    invoice = await v1.invoices.retrieve_async(str(paused.latest_invoice))
    assert (invoice.amount_paid, invoice.billing_reason) == (1_000, "subscription_update")
    resumed = await v1.subscriptions.resume_async(
        subscription.id,
        {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "none"},
    )
    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_end == NOW + MONTH
    await _use(account, subscription, 5_000)
    await account.advance(days=21, hours=1)
    [renewal, *_] = (await v1.invoices.list_async({"status": "paid"})).data
    assert renewal.amount_paid == 9900 + 100


async def test_resuming_in_the_old_cycle_charges_the_rest_of_it(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    none: Any = {"bill_for": {"unused_time_from": {"type": "item_current_period_start"}}}
    await v1.subscriptions.pause_async(subscription.id, none)
    await account.advance(seconds=MONTH // 2)
    resumed = await v1.subscriptions.resume_async(
        subscription.id,
        {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "always_invoice"},
    )
    invoice = await v1.invoices.retrieve_async(str(resumed.latest_invoice))
    assert sorted(line.amount for line in invoice.lines.data) == [-9900, 4950]
    assert invoice.status == "paid"
    assert resumed["items"].data[0].current_period_end == NOW + MONTH


async def test_what_cannot_be_paused_or_resumed(account: Account) -> None:
    v1 = account.stripe.v1
    classic = await account.subscription(billing_mode={"type": "classic"})
    with pytest.raises(stripe.InvalidRequestError, match="flexible"):
        await v1.subscriptions.pause_async(classic.id)
    migrated = await v1.subscriptions.migrate_async(
        classic.id, {"billing_mode": {"type": "flexible"}}
    )
    assert migrated.billing_mode.type == "flexible"
    with pytest.raises(stripe.InvalidRequestError, match="not paused"):
        await v1.subscriptions.resume_async(classic.id)
    schedule = await v1.subscription_schedules.create_async({"from_subscription": classic.id})
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        await v1.subscriptions.pause_async(classic.id)
    await v1.subscription_schedules.release_async(schedule.id)
    assert (await v1.subscriptions.pause_async(classic.id)).status == "paused"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.subscriptions.pause_async(classic.id)
    canceled = await v1.subscriptions.cancel_async(classic.id)
    assert canceled.status == "canceled"


@pytest.mark.parametrize(
    ("chosen", "why", "attempts"),
    [
        ({"pause_on_first_failure": True}, "first_payment_failure", 1),
        ({"after_retries": "pause"}, "final_payment_failure", 4),
    ],
)
async def test_a_failed_payment_may_pause(
    account: Account, chosen: dict[str, Any], why: str, attempts: int
) -> None:
    v1 = account.stripe.v1
    await account.control("settings", **chosen)
    subscription = await account.subscription()
    methods = await v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    await account.advance(days=31 + 16, hours=1)
    paused = await v1.subscriptions.retrieve_async(subscription.id)
    assert paused.status == "paused"
    assert paused.status_details is not None
    assert paused.status_details.paused.subscription.type == why
    assert len(await account.events("invoice.payment_failed")) == attempts
    invoice = await v1.invoices.retrieve_async(str(paused.latest_invoice))
    assert invoice.status == "uncollectible"
    assert "customer.subscription.paused" in await account.event_types()
    await account.advance(days=60)
    assert len((await v1.invoices.list_async()).data) == 2
    still = await v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )
    assert still.status == "paused"
    with pytest.raises(stripe.InvalidRequestError, match="earlier resumption"):
        await v1.subscriptions.resume_async(subscription.id)
    await account.advance(hours=23)
    dropped = await v1.invoices.retrieve_async(str(still.latest_invoice))
    assert dropped.status == "void"
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="")
    back = await v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )
    assert back.status == "active"


async def test_one_that_resumes_without_paying_falls_late(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await v1.subscriptions.pause_async(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    methods = await v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    assert (await v1.subscriptions.resume_async(subscription.id)).status == "past_due"


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")],
)
async def test_collection_can_be_paused_while_the_subscription_goes_on(
    account: Account, behavior: str, status: str
) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    held: Any = {"behavior": behavior, "resumes_at": NOW + 45 * DAY}
    changed = await v1.subscriptions.update_async(subscription.id, {"pause_collection": held})
    assert changed.status == "active"
    [told] = [
        event
        for event in await account.events("customer.subscription.updated")
        if "pause_collection" in event["data"]["previous_attributes"]
    ]
    assert told["data"]["object"]["pause_collection"]["behavior"] == behavior
    await account.advance(days=31, hours=2)
    free = await v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    invoice: Any = free.latest_invoice
    assert (free.status, invoice.status) == ("active", status)
    await account.advance(days=31)
    paying = await v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    invoice = paying.latest_invoice
    assert paying.pause_collection is None
    assert invoice.status == "paid"
    with pytest.raises(stripe.InvalidRequestError):
        late: Any = {"behavior": "void", "resumes_at": NOW}
        await v1.subscriptions.update_async(subscription.id, {"pause_collection": late})
    await v1.subscriptions.update_async(subscription.id, {"pause_collection": {"behavior": "void"}})
    on = await v1.subscriptions.update_async(subscription.id, {"pause_collection": ""})
    assert on.pause_collection is None


@pytest.mark.parametrize(("agreed", "status"), [("pause", "paused"), ("cancel", "canceled")])
async def test_a_trial_that_is_ended_by_hand_asks_for_a_card_too(
    account: Account, agreed: str, status: str
) -> None:
    customer = await account.customer(card=None)
    subscription = await account.subscription(
        customer=customer.id,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": agreed}},
    )
    ended = await account.stripe.v1.subscriptions.update_async(
        subscription.id, {"trial_end": "now"}
    )
    assert ended.status == status


async def test_the_portal_of_a_classic_subscription_sets_the_flag(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription(billing_mode={"type": "classic"})
    session = await v1.billing_portal.sessions.create_async({"customer": subscription.customer})
    form = {"subscription": subscription.id}
    await account.http.post(session.url, data={**form, "action": "cancel"})
    planned = await v1.subscriptions.retrieve_async(subscription.id)
    assert planned.cancel_at_period_end
    assert planned.cancel_at == NOW + MONTH
    await account.http.post(session.url, data={**form, "action": "undo"})
    back = await v1.subscriptions.retrieve_async(subscription.id)
    assert (back.cancel_at, back.cancel_at_period_end) == (None, False)


async def test_the_portal_resumes_and_asks_the_bank(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    session = await v1.billing_portal.sessions.create_async({"customer": subscription.customer})
    await v1.subscriptions.pause_async(
        subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}}
    )
    await account.http.post(session.url, data={"action": "card", "card": "confirms"})
    assert "Resume my subscription" in (await account.http.get(session.url)).text
    await account.http.post(session.url, data={"action": "resume", "subscription": subscription.id})
    late = await v1.subscriptions.retrieve_async(subscription.id)
    assert late.status == "past_due"
    bank = await account.http.post(
        session.url, data={"action": "pay", "invoice": str(late.latest_invoice)}
    )
    assert "/3ds/" in bank.headers["location"]
    await account.http.post(bank.headers["location"], data={"action": "confirm"})
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_items_one_at_a_time(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    [plan] = subscription["items"].data
    added = await v1.subscription_items.create_async(
        {"subscription": subscription.id, "price": "price_tokens"}
    )
    assert added.price.id == "price_tokens"
    more = await v1.subscription_items.update_async(
        plan.id, {"quantity": 3, "proration_behavior": "always_invoice"}
    )
    assert more.quantity == 3
    named = await v1.subscription_items.update_async(plan.id, {"metadata": {"a": "b"}})
    assert named.metadata["a"] == "b"
    assert (await v1.subscription_items.retrieve_async(plan.id)).quantity == 3
    assert (await v1.subscription_items.delete_async(added.id)).deleted
    with pytest.raises(stripe.InvalidRequestError):
        await v1.subscription_items.retrieve_async(added.id)
    invoices = (await v1.invoices.list_async()).data
    assert [invoice.amount_paid for invoice in invoices] == [2 * 9900, 9900]


async def test_the_first_card_can_become_the_subscriptions_own(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    subscription = await account.subscription(
        customer=customer.id,
        payment_behavior="default_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
    )
    assert subscription.status == "incomplete"
    payments = await v1.invoice_payments.list_async({"invoice": subscription.latest_invoice})
    intent = str(payments.data[0].payment.payment_intent)
    await v1.payment_intents.confirm_async(intent, {"payment_method": "pm_card_visa"})
    active = await v1.subscriptions.retrieve_async(subscription.id)
    assert active.status == "active"
    methods = await v1.customers.payment_methods.list_async(customer.id)
    assert [method.id for method in methods.data] == [active.default_payment_method]
    await account.advance(days=31, hours=1)
    assert len(await account.events("invoice.paid")) == 2


async def _use(account: Account, subscription: Any, amount: int) -> None:
    now = (await account.http.get("/_sandbox/clock")).json()["now"]
    await account.stripe.v1.billing.meter_events.create_async(
        {
            "event_name": "tokens",
            "payload": {"stripe_customer_id": subscription.customer, "value": str(amount)},
            "timestamp": now,
        }
    )
