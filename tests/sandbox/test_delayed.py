"""Payments by bank debit: nothing is known for days, then the money comes or does not."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import START, Account

NOW = int(START.timestamp())
DAY = 86_400


@pytest.mark.parametrize("method", ["sepa", "ach"])
async def test_a_checkout_is_complete_before_it_is_paid(account: Account, method: str) -> None:
    v1 = account.stripe.v1
    session = await account.checkout(customer_email="b@example.com")
    answer = await account.http.post(session.url, data={"action": "pay", "card": method})
    assert answer.status_code == 303
    done = await v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    subscription = await v1.subscriptions.retrieve_async(str(done.subscription))
    assert subscription.status == "active"
    [told] = await account.events("checkout.session.completed")
    assert told["data"]["object"]["payment_status"] == "unpaid"
    assert "payment_intent.processing" in await account.event_types()
    invoice = await v1.invoices.retrieve_async(str(done.invoice))
    assert (invoice.status, invoice.attempted) == ("open", True)
    with pytest.raises(stripe.InvalidRequestError, match="still processing"):
        await v1.invoices.pay_async(str(invoice.id), {"payment_method": "pm_card_visa"})
    await account.advance(days=3)
    assert (await v1.checkout.sessions.retrieve_async(session.id)).payment_status == "paid"
    assert (await v1.invoices.retrieve_async(str(invoice.id))).status == "paid"
    types = await account.event_types()
    assert types[-1] == "checkout.session.async_payment_succeeded"
    assert "invoice.paid" in types[-6:]
    await account.advance(days=5)
    assert types == [kind for kind in await account.event_types() if kind != "invoice.upcoming"]


async def test_a_debit_that_comes_back_makes_the_subscription_late(account: Account) -> None:
    v1 = account.stripe.v1
    session = await account.checkout(customer_email="b@example.com")
    await account.http.post(session.url, data={"action": "delayed_fails"})
    await account.advance(days=3)
    done = await v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    late = await v1.subscriptions.retrieve_async(str(done.subscription))
    assert late.status == "past_due"
    assert (await account.event_types())[-5:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "checkout.session.async_payment_failed",
    ]
    await account.advance(days=40)
    assert (await v1.subscriptions.retrieve_async(late.id)).status == "canceled"
    assert len(await account.events("checkout.session.async_payment_failed")) == 1


async def test_the_first_debit_fails_and_a_card_saves_it(account: Account) -> None:
    v1 = account.stripe.v1
    session = await account.checkout(customer_email="b@example.com")
    await account.http.post(session.url, data={"action": "delayed_fails"})
    await account.advance(days=3)
    done = await v1.checkout.sessions.retrieve_async(session.id)
    await v1.invoices.pay_async(str(done.invoice), {"payment_method": "pm_card_visa"})
    assert (await v1.subscriptions.retrieve_async(str(done.subscription))).status == "active"
    assert await account.events("checkout.session.async_payment_succeeded") == []


async def test_a_renewal_by_debit(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card=None)
    method = await v1.payment_methods.create_async(
        {
            "type": "sepa_debit",
            "sepa_debit": {"iban": "DE89 3704 0044 0532 0130 00"},
            "billing_details": {"name": "Ada", "email": "ada@example.com"},
        }
    )
    await v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    subscription = await account.subscription(
        customer=customer.id, default_payment_method=method.id
    )
    assert subscription.status == "active"
    assert (await v1.invoices.retrieve_async(subscription.latest_invoice)).status == "open"
    await account.advance(days=31, hours=2)
    assert len(await account.events("invoice.paid")) == 1
    await account.advance(days=3)
    assert len(await account.events("invoice.paid")) == 2
    again = await v1.subscriptions.retrieve_async(subscription.id)
    assert again.status == "active"


async def test_the_account_says_how_long_a_bank_takes(account: Account) -> None:
    await account.control("settings", delayed_days=10)
    session = await account.checkout(customer_email="b@example.com")
    await account.http.post(session.url, data={"action": "delayed"})
    await account.advance(days=9)
    assert await account.events("invoice.paid") == []
    await account.advance(days=1)
    assert len(await account.events("invoice.paid")) == 1


async def test_an_account_that_is_not_stripes_is_refused(account: Account) -> None:
    v1 = account.stripe.v1
    wrong: list[Any] = [
        {"type": "sepa_debit", "sepa_debit": {"iban": "DE00"}},
        {"type": "sepa_debit"},
        {"type": "us_bank_account", "us_bank_account": {"routing_number": "110000000"}},
        {"type": "us_bank_account", "us_bank_account": {"account_number": "AT611904300234573201"}},
    ]
    for params in wrong:
        with pytest.raises(stripe.InvalidRequestError):
            await v1.payment_methods.create_async(params)
    made = await v1.payment_methods.create_async(
        {
            "type": "us_bank_account",
            "us_bank_account": {
                "account_number": "000123456789",
                "routing_number": "110000000",
                "account_holder_type": "company",
            },
        }
    )
    assert made.us_bank_account is not None
    assert made.us_bank_account.last4 == "6789"


@pytest.mark.parametrize("action", ["abandon", "expire"])
async def test_a_checkout_that_is_left(account: Account, action: str) -> None:
    session = await account.checkout(customer_email="b@example.com")
    await account.http.post(session.url, data={"action": action})
    found = await account.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert found.status == ("expired" if action == "expire" else "open")
    assert len(await account.events("checkout.session.expired")) == (action == "expire")
