"""Schedules: from nothing, in the middle of a period, changed while they run, and ended."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600
MONTH = 31 * DAY


async def test_a_schedule_begins_a_subscription_on_its_day(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    schedule = await v1.subscription_schedules.create_async(
        {
            "customer": customer.id,
            "start_date": NOW + 10 * DAY,
            "end_behavior": "cancel",
            "phases": [
                {"items": [{"price": "price_starter", "quantity": 2}], "metadata": {"org": "1"}},
                {"items": [{"price": "price_pro"}], "duration": {"interval": "month"}},
            ],
        }
    )
    assert (schedule.status, schedule.subscription) == ("not_started", None)
    assert (await v1.subscriptions.list_async()).data == []
    await account.advance(days=10)
    begun = await v1.subscription_schedules.retrieve_async(schedule.id)
    assert begun.status == "active"
    subscription = await v1.subscriptions.retrieve_async(str(begun.subscription))
    assert (subscription.status, subscription.created) == ("active", NOW + 10 * DAY)
    assert subscription.metadata["org"] == "1"
    first = await v1.invoices.retrieve_async(str(subscription.latest_invoice))
    assert first.status == "draft"
    await account.advance(hours=1)
    assert (await v1.invoices.retrieve_async(str(first.id))).amount_paid == 2 * 9900
    await account.advance(days=31)
    assert [invoice.amount_paid for invoice in (await v1.invoices.list_async()).data] == [
        29900,
        19800,
    ]
    await account.advance(days=31)
    ended = await v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    done = await v1.subscription_schedules.retrieve_async(schedule.id)
    assert done.status == "completed"


async def test_a_phase_that_ends_within_a_period_is_prorated(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    phases: Any = [
        {
            "items": [{"price": "price_starter", "quantity": 1}],
            "start_date": NOW,
            "end_date": NOW + MONTH // 2,
        },
        {
            "items": [{"price": "price_pro", "quantity": 1}],
            "proration_behavior": "always_invoice",
        },
    ]
    await v1.subscription_schedules.update_async(schedule.id, {"phases": phases})
    await account.advance(seconds=MONTH // 2)
    changed = await v1.subscriptions.retrieve_async(subscription.id)
    assert changed["items"].data[0].price.id == "price_pro"
    assert changed["items"].data[0].current_period_end == NOW + MONTH
    invoice = await v1.invoices.retrieve_async(str(changed.latest_invoice))
    assert sorted(line.amount for line in invoice.lines.data) == [-4950, 14950]
    assert invoice.amount_paid == 10000


async def test_a_year_that_follows_a_month_begins_when_the_month_ends(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription("price_pro")
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    phases: Any = [
        {
            "items": [{"price": "price_pro", "quantity": 1}],
            "start_date": NOW,
            "end_date": NOW + MONTH,
        },
        {"items": [{"price": "price_pro_year", "quantity": 1}]},
    ]
    await v1.subscription_schedules.update_async(schedule.id, {"phases": phases})
    shown = await v1.invoices.create_preview_async({"schedule": schedule.id})
    assert shown.lines.data[0].period.start == NOW + MONTH
    await account.advance(days=31, hours=1)
    yearly = await v1.subscriptions.retrieve_async(subscription.id)
    item = yearly["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (
        NOW + MONTH,
        NOW + MONTH + 365 * DAY,
    )
    assert (await v1.invoices.retrieve_async(str(yearly.latest_invoice))).amount_paid == 299000


async def test_the_running_phase_can_change(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    running: Any = {
        "items": [{"price": "price_pro", "quantity": 1}],
        "start_date": NOW,
        "end_date": NOW + MONTH,
    }
    await account.advance(seconds=MONTH // 2)
    await v1.subscription_schedules.update_async(
        schedule.id, {"phases": [running], "proration_behavior": "always_invoice"}
    )
    changed = await v1.subscriptions.retrieve_async(subscription.id)
    assert changed["items"].data[0].price.id == "price_pro"
    [latest, *_] = (await v1.invoices.list_async()).data
    assert latest.amount_paid == 10000
    await v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": changed["items"].data[0].id, "quantity": 3}],
            "proration_behavior": "none",
        },
    )
    followed = await v1.subscription_schedules.retrieve_async(schedule.id)
    assert followed.phases[0]["items"][0].quantity == 3


async def test_a_schedule_is_ended_with_its_subscription(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    canceled = await v1.subscription_schedules.cancel_async(schedule.id)
    assert canceled.status == "canceled"
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    customer = await account.customer()
    later = await v1.subscription_schedules.create_async(
        {
            "customer": customer.id,
            "start_date": NOW + DAY,
            "phases": [{"items": [{"price": "price_pro"}]}],
        }
    )
    phases: Any = [{"items": [{"price": "price_starter"}], "start_date": NOW + 2 * DAY}]
    moved = await v1.subscription_schedules.update_async(later.id, {"phases": phases})
    assert moved.phases[0].start_date == NOW + 2 * DAY
    assert (await v1.subscription_schedules.cancel_async(later.id)).status == "canceled"
    await account.advance(days=3)
    assert (await v1.subscriptions.list_async({"customer": customer.id})).data == []


async def test_what_no_schedule_can_be(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    one: Any = {"customer": customer.id, "phases": [{"items": [{"price": "price_pro"}]}]}
    wrong: list[Any] = [
        {**one},
        {**one, "start_date": NOW - 1},
        {**one, "start_date": "now", "from_subscription": "sub_1"},
        {**one, "start_date": "now", "phases": [{"items": []}]},
        {"customer": customer.id, "start_date": "now"},
    ]
    for params in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            await v1.subscription_schedules.create_async(params)
    now: Any = {**one, "start_date": "now"}
    begun = await v1.subscription_schedules.create_async(now)
    assert begun.status == "active"
    late: Any = {"phases": one["phases"]}
    with pytest.raises(stripe.InvalidRequestError, match="first phase"):
        await v1.subscription_schedules.update_async(begun.id, late)
