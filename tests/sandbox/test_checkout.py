"""The hosted checkout: what a person clicks, and what comes of it."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from tests.sandbox.conftest import Account


async def test_paying_makes_one_subscription_and_sends_the_person_back(account: Account) -> None:
    customer = await account.customer(card=None)
    session = await account.checkout(
        customer=customer.id,
        client_reference_id="org_1",
        metadata={"order": "7"},
        subscription_data={"metadata": {"org": "1"}},
    )
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.amount_total == 9900
    seen = await account.http.get(session.url)
    assert seen.status_code == 200
    assert "$99.00" in seen.text
    assert "<script" not in seen.text
    paid = await account.http.post(session.url, data={"action": "pay", "card": "works"})
    assert paid.status_code == 303
    target = urlsplit(paid.headers["location"])
    assert parse_qs(target.query)["session_id"] == [session.id]

    done = await account.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert (done.client_reference_id, done.customer) == ("org_1", customer.id)
    subscription = await account.stripe.v1.subscriptions.retrieve_async(
        str(done.subscription), {"expand": ["latest_invoice", "default_payment_method"]}
    )
    assert subscription.status == "active"
    assert subscription.metadata.to_dict() == {"org": "1"}
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.amount_paid) == ("paid", 9900)
    assert invoice.billing_reason == "subscription_create"
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert invoice.id == done.invoice


async def test_the_events_of_a_paid_checkout(account: Account) -> None:
    session = await account.checkout(customer_email="b@example.com")
    await account.http.post(session.url, data={"action": "pay"})
    types = await account.event_types()
    expected = {
        "customer.created",
        "customer.updated",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "payment_intent.succeeded",
        "charge.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    }
    assert sorted(types) == sorted(expected)
    [created] = await account.events("customer.subscription.created")
    assert created["data"]["object"]["status"] == "active"
    assert created["request"] == {"id": None, "idempotency_key": None}


async def test_a_trial_collects_a_card_and_no_money(account: Account) -> None:
    session = await account.checkout(
        customer_email="b@example.com", subscription_data={"trial_period_days": 14}
    )
    assert session.amount_total == 0
    await account.http.post(session.url, data={"action": "pay"})
    done = await account.stripe.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription", "invoice"]}
    )
    assert (done.status, done.payment_status) == ("complete", "no_payment_required")
    subscription, invoice = done.subscription, done.invoice
    assert isinstance(subscription, stripe.Subscription)
    assert isinstance(invoice, stripe.Invoice)
    assert subscription.status == "trialing"
    assert subscription.trial_end == subscription["items"].data[0].current_period_end
    assert (invoice.status, invoice.amount_due) == ("paid", 0)
    types = await account.event_types()
    assert "setup_intent.succeeded" in types
    assert "charge.succeeded" not in types


@pytest.mark.parametrize("form", [{"action": "decline"}, {"action": "pay", "card": "declines"}])
async def test_a_declined_card_leaves_the_session_open(
    account: Account, form: dict[str, str]
) -> None:
    session = await account.checkout(customer_email="b@example.com")
    declined = await account.http.post(session.url, data=form)
    assert declined.status_code == 402
    assert "Your card was declined." in declined.text
    v1 = account.stripe.v1
    assert (await v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    assert (await v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await v1.customers.list_async()).data == []
    assert "charge.failed" in await account.event_types()
    paid = await account.http.post(session.url, data={"action": "pay"})
    assert paid.status_code == 303


async def test_going_back_leaves_the_session_open(account: Account) -> None:
    session = await account.checkout()
    gone = await account.http.post(session.url, data={"action": "abandon"})
    assert (gone.status_code, gone.headers["location"]) == (303, "https://shop.test/plans")
    again = await account.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert again.status == "open"


async def test_a_double_click_subscribes_once(account: Account) -> None:
    session = await account.checkout(customer_email="b@example.com")
    clicks = [account.http.post(session.url, data={"action": "pay"}) for _ in range(5)]
    answers = await asyncio.gather(*clicks)
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    subscriptions = await account.stripe.v1.subscriptions.list_async({"status": "all"})
    assert len(subscriptions.data) == 1
    assert (await account.event_types()).count("checkout.session.completed") == 1


async def test_a_session_lapses_after_a_day_or_when_told(account: Account) -> None:
    v1 = account.stripe.v1
    forgotten, dismissed = await account.checkout(), await account.checkout()
    assert (await v1.checkout.sessions.expire_async(dismissed.id)).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.checkout.sessions.expire_async(dismissed.id)
    await account.advance(hours=23)
    assert (await v1.checkout.sessions.retrieve_async(forgotten.id)).status == "open"
    await account.advance(hours=1)
    assert (await v1.checkout.sessions.retrieve_async(forgotten.id)).status == "expired"
    assert (await account.event_types()).count("checkout.session.expired") == 2
    late = await account.http.post(f"/c/pay/{forgotten.id}", data={"action": "pay"})
    assert late.status_code == 410
    assert (await v1.subscriptions.list_async({"status": "all"})).data == []


async def test_a_person_can_type_a_promotion_code(account: Account) -> None:
    v1 = account.stripe.v1
    coupon = await v1.coupons.create_async({"percent_off": 25, "duration": "once"})
    code = await v1.promotion_codes.create_async(
        {"code": "SPRING", "promotion": {"type": "coupon", "coupon": coupon.id},
         "max_redemptions": 1}
    )  # fmt: skip
    session = await account.checkout(customer_email="b@example.com", allow_promotion_codes=True)
    wrong = await account.http.post(session.url, data={"action": "apply", "code": "AUTUMN"})
    assert "This code is not valid." in wrong.text
    await account.http.post(session.url, data={"action": "apply", "code": "spring"})
    assert (await v1.checkout.sessions.retrieve_async(session.id)).amount_total == 7425
    await account.http.post(session.url, data={"action": "pay"})
    [invoice] = (await v1.invoices.list_async()).data
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (9900, 7425, 7425)
    used = await v1.promotion_codes.retrieve_async(code.id)
    assert used.times_redeemed == 1
    with pytest.raises(stripe.InvalidRequestError):
        await account.checkout(discounts=[{"promotion_code": code.id}])


async def test_a_metered_price_is_ordered_without_a_quantity(account: Account) -> None:
    items = [{"price": "price_pro", "quantity": 1}, {"price": "price_tokens"}]
    session = await account.checkout(customer_email="b@example.com", line_items=items)
    await account.http.post(session.url, data={"action": "pay"})
    [subscription] = (await account.stripe.v1.subscriptions.list_async()).data
    kinds = [item.price.recurring.usage_type for item in subscription["items"].data]
    assert kinds == ["licensed", "metered"]
    assert "quantity" not in subscription["items"].data[1]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await account.checkout(line_items=[{"price": "price_tokens", "quantity": 1}])
    assert refused.value.param == "line_items[0][quantity]"


async def test_what_was_typed_is_never_taken_for_markup(account: Account) -> None:
    session = await account.checkout()
    sent = {"action": "pay", "email": '"><script>alert(1)</script>', "name": "<b>x"}
    page = await account.http.post(session.url, data=sent)
    assert page.status_code == 400
    assert "<script>" not in page.text
