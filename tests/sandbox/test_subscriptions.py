"""Subscriptions over the API: beginning, changing, ending."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
MONTH = 31 * 86_400


async def test_one_made_by_api_starts_incomplete_and_becomes_active(account: Account) -> None:
    subscription = await account.subscription(metadata={"org": "1"})
    assert subscription.status == "active"
    assert subscription.billing_mode.type == "flexible"
    item = subscription["items"].data[0]
    assert (item.current_period_start, item.current_period_end) == (NOW, NOW + MONTH)
    [created] = await account.events("customer.subscription.created")
    assert created["data"]["object"]["status"] == "incomplete"
    [updated] = await account.events("customer.subscription.updated")
    assert updated["data"]["previous_attributes"] == {"status": "incomplete"}


async def test_a_declined_first_payment(account: Account) -> None:
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    assert subscription.status == "incomplete"
    v1 = account.stripe.v1
    invoice = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    with pytest.raises(stripe.CardError):
        await account.subscription(customer=customer.id, payment_behavior="error_if_incomplete")
    found = await v1.subscriptions.list_async({"status": "all"})
    assert [one.id for one in found.data] == [subscription.id]
    await v1.invoices.pay_async(invoice.id, {"payment_method": "pm_card_visa"})
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "active"


async def test_one_that_is_never_paid_expires_after_23_hours(account: Account) -> None:
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    await account.advance(hours=23)
    v1 = account.stripe.v1
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "incomplete_expired"
    invoice = await v1.invoices.retrieve_async(subscription.latest_invoice)
    assert invoice.status == "void"


async def test_an_upgrade_bills_the_rest_of_the_period_by_the_second(account: Account) -> None:
    subscription = await account.subscription()
    item = subscription["items"].data[0].id
    await account.advance(seconds=MONTH // 3)
    v1 = account.stripe.v1
    change: Any = {
        "items": [{"id": item, "price": "price_pro"}],
        "proration_behavior": "always_invoice",
    }
    preview = await v1.invoices.create_preview_async(
        {"subscription": subscription.id, "subscription_details": change}
    )
    change["payment_behavior"] = "pending_if_incomplete"
    changed = await v1.subscriptions.update_async(subscription.id, change)
    assert changed["items"].data[0].price.id == "price_pro"
    assert changed["items"].data[0].current_period_end == NOW + MONTH
    assert changed.pending_update is None
    invoice = await v1.invoices.retrieve_async(str(changed.latest_invoice))
    assert [line.amount for line in invoice.lines.data] == [-6600, 19933]
    assert invoice.amount_paid == preview.amount_due == 13333
    assert invoice.billing_reason == "subscription_update"
    assert all(
        line.parent.subscription_item_details.proration  # type: ignore[union-attr]
        for line in invoice.lines.data
    )
    types = await account.event_types()
    assert "customer.subscription.pending_update_applied" not in types
    [told] = (await account.events("customer.subscription.updated"))[1:]
    assert told["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"] == "price_starter"


async def test_an_upgrade_that_is_not_paid_waits_and_is_dropped(account: Account) -> None:
    subscription, item = await _with_a_failing_card(account)
    v1 = account.stripe.v1
    waiting = await v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item, "price": "price_pro"}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )
    assert (waiting.status, waiting["items"].data[0].price.id) == ("active", "price_starter")
    assert waiting.pending_update is not None
    assert waiting.pending_update.expires_at == NOW + 23 * 3600
    await account.advance(hours=23)
    dropped = await v1.subscriptions.retrieve_async(subscription.id)
    assert dropped.pending_update is None
    assert dropped["items"].data[0].price.id == "price_starter"
    assert (await v1.invoices.retrieve_async(str(waiting.latest_invoice))).status == "void"
    assert "customer.subscription.pending_update_expired" in await account.event_types()


async def test_an_upgrade_takes_effect_when_its_invoice_is_paid(account: Account) -> None:
    subscription, item = await _with_a_failing_card(account)
    v1 = account.stripe.v1
    waiting = await v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item, "price": "price_pro"}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )
    with pytest.raises(stripe.CardError):
        await v1.invoices.pay_async(str(waiting.latest_invoice))
    await v1.invoices.pay_async(
        str(waiting.latest_invoice), {"payment_method": "pm_card_mastercard"}
    )
    after = await v1.subscriptions.retrieve_async(subscription.id)
    assert after["items"].data[0].price.id == "price_pro"
    assert after.pending_update is None
    assert "customer.subscription.pending_update_applied" in await account.event_types()


async def test_an_upgrade_may_be_all_or_nothing(account: Account) -> None:
    subscription, item = await _with_a_failing_card(account)
    before = await account.event_types()
    with pytest.raises(stripe.CardError) as refused:
        await account.stripe.v1.subscriptions.update_async(
            subscription.id,
            {
                "items": [{"id": item, "price": "price_pro"}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )
    assert refused.value.code == "card_declined"
    same = await account.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert same["items"].data[0].price.id == "price_starter"
    assert await account.event_types() == before


async def test_a_change_that_waits_for_payment_may_hold_nothing_else(account: Account) -> None:
    subscription = await account.subscription()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await account.stripe.v1.subscriptions.update_async(
            subscription.id,
            {"metadata": {"a": "b"}, "payment_behavior": "pending_if_incomplete"},
        )
    assert refused.value.param == "metadata"


async def test_prorations_can_wait_for_the_next_invoice_or_be_left_out(account: Account) -> None:
    v1 = account.stripe.v1
    waits, none = await account.subscription(), await account.subscription()
    await account.advance(seconds=MONTH // 3)
    for subscription, behavior in ((waits, "create_prorations"), (none, "none")):
        params: Any = {
            "items": [{"id": subscription["items"].data[0].id, "price": "price_pro"}],
            "proration_behavior": behavior,
        }
        await v1.subscriptions.update_async(subscription.id, params)
    assert (await account.event_types()).count("invoiceitem.created") == 2
    waits = (await account.http.post(f"/_sandbox/renew/{waits.id}")).json()
    assert waits["invoice"]["amount_paid"] == 29900 + 13333
    none = await v1.subscriptions.retrieve_async(none.id)
    renewed = await v1.invoices.retrieve_async(str(none.latest_invoice))
    assert renewed.amount_paid == 29900


async def test_another_interval_starts_a_new_cycle(account: Account) -> None:
    subscription = await account.subscription()
    item = subscription["items"].data[0].id
    await account.advance(seconds=MONTH // 3)
    changed = await account.stripe.v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item, "price": "price_pro_year"}]}
    )
    start = NOW + MONTH // 3
    assert changed["items"].data[0].current_period_start == start
    assert changed["items"].data[0].current_period_end == start + 365 * 86_400
    invoice = await account.stripe.v1.invoices.retrieve_async(str(changed.latest_invoice))
    assert invoice.amount_paid == 299000 - 6600


async def test_a_downgrade_leaves_a_credit_for_the_next_invoice(account: Account) -> None:
    subscription = await account.subscription("price_pro")
    item = subscription["items"].data[0].id
    v1 = account.stripe.v1
    await v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item, "price": "price_starter"}],
            "proration_behavior": "always_invoice",
        },
    )
    customer = await v1.customers.retrieve_async(subscription.customer)
    assert customer.balance == -20000
    renewed = (await account.http.post(f"/_sandbox/renew/{subscription.id}")).json()["invoice"]
    assert (renewed["total"], renewed["amount_due"]) == (9900, 0)
    assert (await v1.customers.retrieve_async(subscription.customer)).balance == -10100


async def test_a_cancellation_can_be_scheduled_and_taken_back(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    end = subscription["items"].data[0].current_period_end
    planned = await v1.subscriptions.update_async(
        subscription.id,
        {"cancel_at_period_end": True, "cancellation_details": {"feedback": "too_complex"}},
    )
    assert (planned.cancel_at_period_end, planned.cancel_at, planned.canceled_at) == (
        True,
        end,
        NOW,
    )
    assert planned.cancellation_details is not None
    assert planned.cancellation_details.feedback == "too_complex"
    back = await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    assert (back.cancel_at_period_end, back.cancel_at, back.canceled_at) == (False, None, None)
    dated = await v1.subscriptions.update_async(subscription.id, {"cancel_at": end})
    assert (dated.cancel_at_period_end, dated.cancel_at) == (False, end)
    same = await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    assert same.cancel_at == end
    cleared = await v1.subscriptions.update_async(subscription.id, {"cancel_at": ""})
    assert cleared.cancel_at is None


async def test_a_scheduled_cancellation_comes_true_and_bills_nothing(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    await account.advance(days=31)
    ended = await v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", NOW + MONTH)
    assert len((await v1.invoices.list_async()).data) == 1
    assert (await v1.subscriptions.list_async()).data == []
    assert len((await v1.subscriptions.list_async({"status": "all"})).data) == 1
    await account.advance(days=400)
    assert len((await v1.invoices.list_async()).data) == 1


async def test_a_cancellation_at_once(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    ended = await v1.subscriptions.cancel_async(
        subscription.id,
        {"invoice_now": True, "prorate": False, "cancellation_details": {"comment": "bye"}},
    )
    assert (ended.status, ended.ended_at) == ("canceled", NOW)
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.comment == "bye"
    assert "customer.subscription.deleted" in await account.event_types()
    with pytest.raises(stripe.InvalidRequestError) as again:
        await v1.subscriptions.cancel_async(subscription.id)
    assert again.value.code == "resource_missing"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})


async def test_a_cancellation_can_give_back_what_is_left(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await account.advance(seconds=MONTH // 3)
    await v1.subscriptions.cancel_async(subscription.id, {"invoice_now": True, "prorate": True})
    [last, _] = (await v1.invoices.list_async()).data
    assert (last.total, last.amount_due, last.status) == (-6600, 0, "paid")
    assert (await v1.customers.retrieve_async(subscription.customer)).balance == -6600


async def test_the_end_can_be_agreed_at_the_start(account: Account) -> None:
    by_flag = await account.subscription(cancel_at_period_end=True)
    assert (by_flag.cancel_at_period_end, by_flag.cancel_at) == (True, NOW + MONTH)
    by_date = await account.subscription(cancel_at="max_period_end")
    assert (by_date.cancel_at_period_end, by_date.cancel_at) == (False, NOW + MONTH)
    with pytest.raises(stripe.InvalidRequestError):
        await account.subscription(cancel_at=NOW + 5, cancel_at_period_end=True)
    with pytest.raises(stripe.InvalidRequestError) as foreign:
        await account.subscription(currency="eur")
    assert foreign.value.param == "currency"


async def test_an_update_that_updates_nothing_is_silent(account: Account) -> None:
    subscription = await account.subscription(metadata={"a": "1"})
    before = await account.event_types()
    await account.stripe.v1.subscriptions.update_async(subscription.id, {"metadata": {"a": "1"}})
    assert await account.event_types() == before


async def test_items_are_listed_and_keep_their_own_periods(account: Account) -> None:
    subscription = await account.subscription()
    found = await account.stripe.v1.subscription_items.list_async({"subscription": subscription.id})
    assert [item.id for item in found.data] == [subscription["items"].data[0].id]
    assert "current_period_end" not in subscription


async def test_a_deleted_customer_takes_the_subscription_along(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    gone = await v1.customers.delete_async(subscription.customer)
    assert gone.deleted
    assert (await v1.subscriptions.retrieve_async(subscription.id)).status == "canceled"
    assert (await v1.customers.retrieve_async(subscription.customer)).deleted
    with pytest.raises(stripe.InvalidRequestError):
        await v1.customers.update_async(subscription.customer, {"name": "x"})


async def _with_a_failing_card(account: Account) -> tuple[Any, str]:
    """A running subscription whose card declines from now on."""
    subscription = await account.subscription()
    methods = await account.stripe.v1.customers.payment_methods.list_async(subscription.customer)
    await account.control(f"payment_methods/{methods.data[0].id}", decline_code="generic_decline")
    return subscription, str(subscription["items"].data[0].id)
