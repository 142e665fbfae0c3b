"""Invoices, payments and refunds."""

from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from app.sandbox.billing import amounts
from tests.sandbox.conftest import Account


@given(
    amount=st.integers(0, 10**9), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=20)
)
def test_a_split_adds_up(amount: int, weights: list[int]) -> None:
    pieces = amounts.split(amount, weights)
    assert sum(pieces) == (amount if sum(weights) else 0)
    assert all(piece == 0 for piece, weight in zip(pieces, weights, strict=True) if not weight)


def test_amounts_are_shown_in_their_currency() -> None:
    assert amounts.shown(123456, "usd") == "$1,234.56"
    assert amounts.shown(-500, "jpy") == "-500 JPY"
    assert amounts.shown(1500, "kwd") == "1.500 KWD"


async def test_an_invoice_can_be_followed_to_its_charge_and_back(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    invoice: Any = await v1.invoices.retrieve_async(
        subscription.latest_invoice, {"expand": ["payments"]}
    )
    intent = invoice.payments.data[0].payment.payment_intent
    charge = (await v1.payment_intents.retrieve_async(intent)).latest_charge
    found = await v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": intent}}
    )
    assert found.data[0].invoice == invoice.id
    assert (await v1.charges.list_async({"customer": subscription.customer})).data[0].id == charge
    lines = await v1.invoices.line_items.list_async(invoice.id)
    assert lines.data[0].pricing is not None
    assert lines.data[0].pricing.price_details is not None
    assert lines.data[0].pricing.price_details.price == "price_starter"
    assert invoice.payment_intent is None if "payment_intent" in invoice else True


async def test_refunds_never_exceed_the_charge(account: Account) -> None:
    v1 = account.stripe.v1
    await account.subscription()
    [charge] = (await v1.charges.list_async()).data
    first = await v1.refunds.create_async(
        {"charge": charge.id, "amount": 4000, "reason": "requested_by_customer"}
    )
    assert (first.status, first.amount) == ("succeeded", 4000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await v1.refunds.create_async({"charge": charge.id, "amount": 5901})
    rest = await v1.refunds.create_async({"payment_intent": str(charge.payment_intent)})
    assert rest.amount == 5900
    with pytest.raises(stripe.InvalidRequestError) as done:
        await v1.refunds.create_async({"charge": charge.id})
    assert done.value.code == "charge_already_refunded"
    after: Any = await v1.charges.retrieve_async(charge.id, {"expand": ["refunds"]})
    assert (after.refunded, after.amount_refunded) == (True, 9900)
    assert len(after.refunds.data) == 2
    told = [event["data"]["object"] for event in await account.events("charge.refunded")]
    assert [one["refunded"] for one in told] == [False, True]


async def test_an_invoice_page_can_be_paid_and_printed(account: Account) -> None:
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    invoice = await account.stripe.v1.invoices.retrieve_async(subscription.latest_invoice)
    url = str(invoice.hosted_invoice_url)
    assert "Amount due" in (await account.http.get(url)).text
    declined = await account.http.post(url, data={})
    assert (declined.status_code, "declined" in declined.text) == (402, True)
    assert (await account.http.post(url, data={"card": "visa"})).status_code == 303
    paid = await account.stripe.v1.invoices.retrieve_async(str(invoice.id))
    assert (paid.status, paid.attempt_count) == ("paid", 3)
    printed = await account.http.get(str(invoice.invoice_pdf))
    assert printed.content.startswith(b"%PDF-")


async def test_the_pdf_opens(account: Account) -> None:
    import pypdfium2

    subscription = await account.subscription()
    invoice = await account.stripe.v1.invoices.retrieve_async(subscription.latest_invoice)
    printed = await account.http.get(str(invoice.invoice_pdf))
    document = pypdfium2.PdfDocument(printed.content)
    text = document[0].get_textpage().get_text_range()
    document.close()
    assert "$99.00" in text
    assert str(invoice.number) in text


async def test_credit_that_comes_while_a_renewal_is_a_draft_still_counts(
    account: Account,
) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    await account.advance(days=31)
    await v1.customers.update_async(subscription.customer, {"balance": -900})
    await account.advance(hours=1)
    [renewal, _] = (await v1.invoices.list_async()).data
    assert (renewal.total, renewal.amount_paid, renewal.starting_balance) == (9900, 9000, -900)
    assert (await v1.customers.retrieve_async(subscription.customer)).balance == 0
    [charge, _] = (await v1.charges.list_async()).data
    assert charge.amount == 9000


async def test_a_voided_invoice_gives_back_the_credit_it_used(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_chargeCustomerFail", balance=-900)
    subscription = await account.subscription(customer=customer.id)
    assert (await v1.customers.retrieve_async(customer.id)).balance == 0
    await v1.invoices.void_invoice_async(subscription.latest_invoice)
    assert (await v1.customers.retrieve_async(customer.id)).balance == -900


async def test_voiding_and_paying_out_of_band(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer(card="pm_card_chargeCustomerFail")
    subscription = await account.subscription(customer=customer.id)
    other = await account.subscription(customer=customer.id)
    voided = await v1.invoices.void_invoice_async(subscription.latest_invoice)
    assert voided.status == "void"
    with pytest.raises(stripe.InvalidRequestError):
        await v1.invoices.pay_async(subscription.latest_invoice)
    paid = await v1.invoices.pay_async(other.latest_invoice, {"paid_out_of_band": True})
    assert paid.status == "paid"
    assert (await v1.subscriptions.retrieve_async(other.id)).status == "active"


async def test_a_detached_card_is_nobodys_default(account: Account) -> None:
    v1 = account.stripe.v1
    customer = await account.customer()
    [method] = (await v1.customers.payment_methods.list_async(customer.id)).data
    await v1.payment_methods.detach_async(method.id)
    after: Any = await v1.customers.retrieve_async(customer.id)
    assert after.invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError):
        await v1.payment_methods.attach_async(method.id, {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await account.subscription(customer=customer.id)
