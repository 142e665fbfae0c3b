"""What the calendar does: renewals, trials, failures, schedules."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from app.sandbox.billing import periods
from tests.sandbox.conftest import START, Account, running

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_months_are_counted_from_the_anchor() -> None:
    anchor = _at("2026-01-31T08:00")
    ends = [periods.after(anchor, "month", n) for n in range(1, 4)]
    assert ends == [_at("2026-02-28T08:00"), _at("2026-03-31T08:00"), _at("2026-04-30T08:00")]
    leap = _at("2028-02-29T00:00")
    assert periods.after(leap, "year", 1) == _at("2029-02-28T00:00")
    assert periods.after(leap, "year", 4) == _at("2032-02-29T00:00")


@given(
    anchor=st.integers(_at("1990-01-01"), _at("2050-01-01")),
    ahead=st.integers(0, 40 * 366 * DAY),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(1, 13),
)
def test_every_instant_is_in_exactly_one_period(
    anchor: int, ahead: int, interval: str, count: int
) -> None:
    instant = anchor + ahead
    start, end = periods.containing(anchor, interval, count, instant)
    assert start <= instant < end
    assert periods.containing(anchor, interval, count, end)[0] == end
    assert periods.containing(anchor, interval, count, start) == (start, end)


async def test_a_renewal_is_drafted_at_once_and_collected_an_hour_later(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    end = subscription["items"].data[0].current_period_end
    await account.advance(seconds=end - NOW)
    renewed = await v1.subscriptions.retrieve_async(subscription.id)
    item = renewed["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (end, _at("2026-05-01T12:00"))
    draft = await v1.invoices.retrieve_async(str(renewed.latest_invoice))
    assert (draft.status, draft.billing_reason) == ("draft", "subscription_cycle")
    assert draft.automatically_finalizes_at == end + HOUR
    await account.advance(hours=1)
    paid = await v1.invoices.retrieve_async(str(draft.id))
    assert (paid.status, paid.amount_paid) == ("paid", 9900)
    assert paid.lines.data[0].period.start == end
    types = (await account.event_types())[-10:]
    assert "invoice.upcoming" in await account.event_types()
    assert set(types) >= {"invoice.created", "invoice.finalized", "charge.succeeded",
                          "invoice_payment.paid", "invoice.paid"}  # fmt: skip
    [upcoming] = await account.events("invoice.upcoming")
    assert "id" not in upcoming["data"]["object"]


async def test_a_year_in_one_step_is_the_same_as_twelve_months(account: Account) -> None:
    await account.subscription()
    await account.advance(days=365, hours=2)
    page = await account.stripe.v1.invoices.list_async({"limit": 100})
    invoices = page.data
    assert [invoice.amount_paid for invoice in invoices] == [9900] * 13
    starts = [invoice.lines.data[0].period.start for invoice in invoices][::-1]
    assert starts == [periods.after(NOW, "month", n) for n in range(13)]
    numbers = [str(invoice.number)[-4:] for invoice in invoices][::-1]
    assert numbers == [f"{n:04d}" for n in range(1, 14)]
    assert len({invoice.created for invoice in invoices}) == 13


async def test_a_renewal_that_fails_is_tried_again_and_then_ends_it(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await _failing(account)
    await account.advance(days=31, hours=1)
    late = await v1.subscriptions.retrieve_async(subscription.id)
    assert late.status == "past_due"
    [failed] = await account.events("invoice.payment_failed")
    about = failed["data"]["object"]
    assert (about["attempt_count"], about["status"]) == (1, "open")
    assert about["next_payment_attempt"] == NOW + 31 * DAY + HOUR + 3 * DAY
    await account.advance(days=15)
    ended = await v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "payment_failed"
    failures = [e["data"]["object"] for e in await account.events("invoice.payment_failed")]
    assert [failure["attempt_count"] for failure in failures] == [1, 2, 3, 4]
    assert failures[-1]["next_payment_attempt"] is None


async def test_a_renewal_that_fails_can_recover(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await _failing(account)
    await account.advance(days=31, hours=1)
    method = await v1.payment_methods.attach_async(
        "pm_card_mastercard", {"customer": subscription.customer}
    )
    await v1.customers.update_async(
        subscription.customer, {"invoice_settings": {"default_payment_method": method.id}}
    )
    await account.advance(days=3)
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    types = await account.event_types()
    assert types[-1] == "customer.subscription.updated"
    assert types.index("charge.failed") < types.index("invoice.payment_failed")


@pytest.mark.parametrize(("fate", "status"), [("unpaid", "unpaid"), ("past_due", "past_due")])
async def test_the_account_says_what_follows_the_last_failure(fate: str, status: str) -> None:
    from tests.sandbox.conftest import CATALOG

    async with running(after_retries=fate) as account:
        await account.control("seed", **CATALOG)
        subscription = await _failing(account)
        await account.advance(days=50)
        v1 = account.stripe.v1
        after = await v1.subscriptions.retrieve_async(subscription.id)
        assert after.status == status
        await account.advance(days=31)
        later = await v1.subscriptions.retrieve_async(subscription.id)
        invoice = await v1.invoices.retrieve_async(str(later.latest_invoice))
        assert invoice.status == ("draft" if fate == "unpaid" else "open")


async def test_a_trial_is_announced_and_becomes_a_paid_period(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription(trial_period_days=14)
    assert subscription.status == "trialing"
    await account.advance(days=10)
    assert await account.events("customer.subscription.trial_will_end") == []
    await account.advance(days=1)
    [notice] = await account.events("customer.subscription.trial_will_end")
    assert notice["data"]["object"]["trial_end"] == NOW + 14 * DAY
    await account.advance(days=3, hours=1)
    after = await v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    assert after.status == "active"
    assert isinstance(after.latest_invoice, stripe.Invoice)
    assert after.latest_invoice.amount_paid == 9900
    started = [
        event
        for event in await account.events("customer.subscription.updated")
        if event["data"]["previous_attributes"].get("status") == "trialing"
    ]
    assert len(started) == 1


async def test_a_short_trial_is_announced_at_once(account: Account) -> None:
    await account.subscription(trial_period_days=2)
    await account.advance(seconds=1)
    assert len(await account.events("customer.subscription.trial_will_end")) == 1


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("pause", "paused")])
async def test_a_trial_without_a_card_ends_as_agreed(
    account: Account, behavior: str, status: str
) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    subscription = await account.subscription(
        customer=customer.id,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )
    await account.advance(days=7)
    ended = await v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == status
    if status == "canceled":
        with pytest.raises(stripe.InvalidRequestError):
            await v1.subscriptions.resume_async(subscription.id)
        return
    assert "customer.subscription.paused" in await account.event_types()
    method = await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await v1.subscriptions.update_async(subscription.id, {"default_payment_method": method.id})
    resumed = await v1.subscriptions.resume_async(
        subscription.id,
        {
            "billing_cycle_anchor": {"type": "now"},
            "payment_behavior": "resume_on_payment_success",
        },
    )
    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_start == NOW + 7 * DAY
    assert "customer.subscription.resumed" in await account.event_types()


async def test_it_may_stay_paused_until_it_is_paid(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    subscription = await account.subscription(
        customer=customer.id,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    await account.advance(days=8)
    waiting = await v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )
    assert waiting.status == "paused"
    assert "customer.subscription.resumed" not in await account.event_types()
    await v1.invoices.pay_async(str(waiting.latest_invoice), {"payment_method": "pm_card_visa"})
    resumed = await v1.subscriptions.retrieve_async(subscription.id)
    assert resumed.status == "active"
    assert resumed["items"].data[0].current_period_start == NOW + 8 * DAY
    assert resumed.status_details is None


async def test_a_trial_can_be_ended_early(account: Account) -> None:
    subscription = await account.subscription(trial_period_days=14)
    await account.advance(days=1)
    after = await account.stripe.v1.subscriptions.update_async(
        subscription.id, {"trial_end": "now"}
    )
    assert after.status == "active"
    invoice = await account.stripe.v1.invoices.retrieve_async(str(after.latest_invoice))
    assert invoice.amount_paid == 9900


async def test_a_downgrade_can_wait_for_the_end_of_the_period(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription("price_pro")
    item = subscription["items"].data[0]
    schedule = await _downgrade_later(account, subscription)
    attached = await v1.subscriptions.retrieve_async(subscription.id)
    assert attached.schedule == schedule.id
    assert attached["items"].data[0].price.id == "price_pro"
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await account.advance(seconds=item.current_period_end - NOW + HOUR)
    changed = await v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    assert changed["items"].data[0].price.id == "price_starter"
    assert changed["items"].data[0].id == item.id
    assert isinstance(changed.latest_invoice, stripe.Invoice)
    assert changed.latest_invoice.amount_paid == 9900
    await account.advance(days=32)
    free = await v1.subscriptions.retrieve_async(subscription.id)
    assert (free.schedule, free["items"].data[0].price.id) == (None, "price_starter")
    done = await v1.subscription_schedules.retrieve_async(schedule.id)
    assert (done.status, done.released_subscription) == ("released", subscription.id)


async def test_a_waiting_downgrade_can_be_taken_back(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription("price_pro")
    schedule = await _downgrade_later(account, subscription)
    released = await v1.subscription_schedules.release_async(schedule.id)
    assert released.status == "released"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.subscription_schedules.release_async(schedule.id)
    await account.advance(days=32)
    after = await v1.subscriptions.retrieve_async(subscription.id)
    assert (after.schedule, after["items"].data[0].price.id) == (None, "price_pro")


async def test_a_schedule_must_begin_with_what_is(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription("price_pro")
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="first phase"):
        await v1.subscription_schedules.update_async(
            schedule.id, {"phases": [{"items": [{"price": "price_pro"}]}]}
        )


async def test_a_coupon_for_some_months_ends(account: Account) -> None:
    v1 = account.stripe.v1
    coupon = await v1.coupons.create_async(
        {"amount_off": 1000, "currency": "usd", "duration": "repeating", "duration_in_months": 2}
    )
    await account.subscription(discounts=[{"coupon": coupon.id}])
    await account.advance(days=62, hours=2)
    paid = [invoice.amount_paid for invoice in (await v1.invoices.list_async()).data]
    assert paid == [9900, 8900, 8900]


async def test_time_does_not_go_back(account: Account) -> None:
    answer = await account.http.post("/_sandbox/clock/advance", json={"to": NOW - 1})
    assert answer.status_code == 400
    told = (await account.http.get("/_sandbox/clock")).json()
    assert (told["now"], told["offset"]) == (NOW, 0)


async def test_real_time_counts_too(account: Account) -> None:
    subscription = await account.subscription()
    account.clock.advance(days=32)
    renewed = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert renewed["items"].data[0].current_period_start == NOW + 31 * DAY


async def _failing(account: Account) -> Any:
    """A running subscription whose next payment will be declined."""
    subscription = await account.subscription()
    methods = await account.stripe.v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    return subscription


async def _downgrade_later(account: Account, subscription: Any) -> Any:
    v1 = account.stripe.v1
    item = subscription["items"].data[0]
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    return await v1.subscription_schedules.update_async(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": "price_pro", "quantity": 1}],
                    "start_date": item.current_period_start,
                    "end_date": item.current_period_end,
                    "proration_behavior": "none",
                },
                {
                    "items": [{"price": "price_starter", "quantity": 1}],
                    "duration": {"interval": "month", "interval_count": 1},
                    "proration_behavior": "none",
                },
            ],
        },
    )
