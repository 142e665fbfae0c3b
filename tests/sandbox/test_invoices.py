"""Invoices by hand, by mail, given up, and previews of those to come."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY, HOUR = 86_400, 3_600
MONTH = 31 * DAY


async def test_an_invoice_by_hand_is_collected(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    invoice = await v1.invoices.create_async(
        {"customer": customer.id, "auto_advance": True, "metadata": {"billing_invoice": "inv_1"}}
    )
    assert (invoice.status, invoice.billing_reason) == ("draft", "manual")
    assert invoice.automatically_finalizes_at == NOW + HOUR
    for amount, text in ((5_000, "Work"), (-1_000, "Rebate")):
        await v1.invoice_items.create_async(
            {
                "customer": customer.id,
                "invoice": str(invoice.id),
                "amount": amount,
                "currency": "usd",
                "description": text,
            }
        )
    draft = await v1.invoices.retrieve_async(str(invoice.id))
    assert draft.total == 4_000
    assert [line.description for line in draft.lines.data] == ["Work", "Rebate"]
    await account.advance(hours=1)
    paid = await v1.invoices.retrieve_async(str(invoice.id))
    assert (paid.status, paid.amount_paid) == ("paid", 4_000)
    assert paid.metadata is not None
    assert paid.metadata["billing_invoice"] == "inv_1"


async def test_what_waits_is_billed_with_the_next_invoice(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    item = await v1.invoice_items.create_async(
        {"customer": subscription.customer, "amount": 700, "currency": "usd"}
    )
    assert [one.id for one in (await v1.invoice_items.list_async({"pending": True})).data] == [
        item.id
    ]
    excluded = await v1.invoices.create_async({"customer": subscription.customer})
    assert excluded.lines.data == []
    await account.advance(days=31, hours=1)
    [latest, *_] = (await v1.invoices.list_async({"status": "paid"})).data
    assert sorted(line.amount for line in latest.lines.data) == [700, 9900]
    taken = await v1.invoice_items.retrieve_async(item.id)
    assert taken.invoice == latest.id
    await v1.invoice_items.create_async(
        {"customer": subscription.customer, "amount": 300, "currency": "usd"}
    )
    included = await v1.invoices.create_async(
        {"customer": subscription.customer, "pending_invoice_items_behavior": "include"}
    )
    assert included.total == 300


async def test_items_change_while_their_invoice_is_a_draft(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    invoice = await v1.invoices.create_async({"customer": customer.id})
    one: Any = {"customer": customer.id, "invoice": str(invoice.id), "currency": "usd"}
    amount: Any = {**one, "amount": 100}
    units: Any = {**one, "unit_amount_decimal": "2.5", "quantity": 3}
    first = await v1.invoice_items.create_async(amount)
    second = await v1.invoice_items.create_async(units)
    assert second.amount == 8
    await v1.invoice_items.update_async(first.id, {"amount": 900, "description": "More"})
    assert (await v1.invoices.retrieve_async(str(invoice.id))).total == 908
    await v1.invoice_items.delete_async(second.id)
    final = await v1.invoices.finalize_invoice_async(str(invoice.id))
    assert (final.total, len(final.lines.data)) == (900, 1)
    with pytest.raises(stripe.InvalidRequestError) as late:
        await v1.invoice_items.create_async(amount)
    assert late.value.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.invoice_items.update_async(first.id, {"amount": 1})
    with pytest.raises(stripe.InvalidRequestError):
        await v1.invoices.delete_async(str(invoice.id))
    other = await v1.invoices.create_async({"customer": customer.id})
    assert (await v1.invoices.delete_async(str(other.id))).deleted


async def test_an_invoice_by_mail_becomes_overdue(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    invoice = await v1.invoices.create_async(
        {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 14}
    )
    await v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": str(invoice.id), "amount": 500, "currency": "usd"}
    )
    sent = await v1.invoices.send_invoice_async(str(invoice.id))
    assert (sent.status, sent.due_date) == ("open", NOW + 14 * DAY)
    assert "invoice.sent" in await account.event_types()
    await account.advance(days=14)
    assert "invoice.overdue" in await account.event_types()
    paid = await v1.invoices.pay_async(str(invoice.id), {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 500)
    assert await account.events("charge.succeeded") == []


async def test_a_subscription_by_mail(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    subscription = await account.subscription(
        customer=customer.id, collection_method="send_invoice", days_until_due=10
    )
    assert (subscription.status, subscription.days_until_due) == ("active", 10)
    invoice = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert invoice.status == "draft"
    await account.advance(hours=1)
    sent = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert (sent.status, sent.due_date) == ("open", NOW + HOUR + 10 * DAY)
    await account.advance(days=10)
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "past_due"
    await v1.invoices.pay_async(str(invoice.id), {"paid_out_of_band": True})
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    with pytest.raises(stripe.InvalidRequestError):
        await account.subscription(customer=customer.id, days_until_due=3)


async def test_an_invoice_that_is_given_up_no_longer_counts(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    methods = await v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    await account.advance(days=31, hours=1)
    late = await v1.subscriptions.retrieve_async(subscription.id)
    assert late.status == "past_due"
    given_up = await v1.invoices.mark_uncollectible_async(str(late.latest_invoice))
    assert given_up.status == "uncollectible"
    assert given_up.status_details is not None
    assert given_up.status_details.uncollectible is not None
    assert given_up.status_details.uncollectible.reason == "user_forgiven"
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    await account.advance(days=20)
    assert len(await account.events("invoice.payment_failed")) == 1
    paid = await v1.invoices.pay_async(str(given_up.id), {"payment_method": "pm_card_visa"})
    assert paid.status == "paid"


async def test_voiding_a_first_invoice_ends_what_never_began(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    await v1.invoices.void_invoice_async(subscription.latest_invoice)
    after = await v1.subscriptions.retrieve_async(subscription.id)
    assert after.status == "incomplete_expired"


async def test_a_preview_shows_what_waits_and_what_is_scheduled(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription("price_pro")
    item = subscription["items"].data[0]
    await account.advance(seconds=MONTH // 2)
    await v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item.id, "quantity": 2}]}
    )
    upcoming = await v1.invoices.create_preview_async({"subscription": subscription.id})
    assert sorted(line.amount for line in upcoming.lines.data) == [-14950, 29900, 59800]
    schedule = await v1.subscription_schedules.create_async({"from_subscription": subscription.id})
    now: Any = {
        "items": [{"price": "price_pro", "quantity": 2}],
        "start_date": item.current_period_start,
        "end_date": item.current_period_end,
    }
    then: Any = {"items": [{"price": "price_starter", "quantity": 1}]}
    await v1.subscription_schedules.update_async(schedule.id, {"phases": [now, then]})
    changed = await v1.invoices.create_preview_async({"schedule": schedule.id})
    assert sorted(line.amount for line in changed.lines.data) == [-14950, 9900, 29900]
    await account.advance(seconds=MONTH // 2 + HOUR)
    [billed, *_] = (await v1.invoices.list_async({"status": "paid"})).data
    assert billed.amount_paid == changed.amount_due == 24850


async def test_a_preview_of_an_end(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await account.advance(seconds=MONTH // 2)
    details: Any = {"cancel_now": True}
    back = await v1.invoices.create_preview_async(
        {"subscription": subscription.id, "subscription_details": details}
    )
    assert (back.total, back.amount_due) == (-4950, 0)
    with pytest.raises(stripe.InvalidRequestError) as none:
        await v1.invoices.create_preview_async(
            {
                "subscription": subscription.id,
                "subscription_details": {"cancel_at_period_end": True},
            }
        )
    assert none.value.code == "invoice_upcoming_none"


@pytest.mark.parametrize(("balance", "due", "left"), [(-4_000, 5_900, 0), (1_500, 11_400, 0)])
async def test_a_customers_balance_goes_first(
    account: Account, balance: int, due: int, left: int
) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    await v1.customers.update_async(customer.id, {"balance": balance})
    subscription = await account.subscription(customer=customer.id)
    invoice = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert (invoice.total, invoice.amount_paid) == (9_900, due)
    assert (invoice.starting_balance, invoice.ending_balance) == (balance, left)
    assert (await v1.customers.retrieve_async(customer.id)).balance == left


async def test_usage_is_billed_when_the_period_is_over(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription(
        items=[{"price": "price_starter"}, {"price": "price_tokens"}]
    )
    first = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert first.amount_paid == 9900
    await _use(account, subscription, 40_000)
    await account.advance(days=31)
    draft = await _latest(account, subscription)
    assert (draft.status, draft.total) == ("draft", 9900 + 800)
    await _use(account, subscription, 10_000, at=NOW + MONTH - 60)
    await _use(account, subscription, 5_000)
    await account.advance(hours=1)
    paid = await _latest(account, subscription)
    assert (paid.status, paid.amount_paid) == ("paid", 9900 + 1_000)
    metered = next(line for line in paid.lines.data if line.amount == 1_000)
    assert (metered.quantity, metered.period.start, metered.period.end) == (
        50_000,
        NOW,
        NOW + MONTH,
    )
    last = await v1.subscriptions.cancel_async(subscription.id, {"invoice_now": True})
    assert (await _latest(account, last)).amount_paid == 100
    assert last.status == "canceled"


async def test_the_last_usage_is_billed_after_the_end(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription(
        items=[{"price": "price_starter"}, {"price": "price_tokens"}], cancel_at_period_end=True
    )
    await _use(account, subscription, 40_000)
    shown = await v1.invoices.create_preview_async({"subscription": subscription.id})
    assert shown.amount_due == 800
    await account.advance(days=31)
    ended = await v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    assert (await _latest(account, ended)).status == "draft"
    await account.advance(hours=1)
    assert (await _latest(account, ended)).amount_paid == 800


async def _use(account: Account, subscription: Any, amount: int, at: int | None = None) -> None:
    now = (await account.http.get("/_sandbox/clock")).json()["now"]
    await account.stripe.v1.billing.meter_events.create_async(
        {
            "event_name": "tokens",
            "payload": {"stripe_customer_id": subscription.customer, "value": str(amount)},
            "timestamp": at or now,
        }
    )


async def _latest(account: Account, subscription: Any) -> Any:
    found = await account.stripe.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )
    return found.latest_invoice
