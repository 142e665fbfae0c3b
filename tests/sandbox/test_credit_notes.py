"""Credit notes: less to pay while it is asked for, something back once it is paid."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Account


async def _open(account: Account, amount: int = 9_900) -> Any:
    """An invoice that waits for its payer."""
    v1 = account.stripe.v1
    customer = await account.customer()
    invoice = await v1.invoices.create_async(
        {"customer": customer.id, "collection_method": "send_invoice", "days_until_due": 3}
    )
    await v1.invoice_items.create_async(
        {"customer": customer.id, "invoice": str(invoice.id), "amount": amount, "currency": "usd"}
    )
    return await v1.invoices.finalize_invoice_async(str(invoice.id))


async def _paid(account: Account) -> Any:
    invoice = await _open(account)
    return await account.stripe.v1.invoices.pay_async(str(invoice.id))


async def _told(account: Account) -> list[str]:
    return [one for one in await account.event_types() if one.startswith("credit_note")]


async def test_less_is_asked_for_and_with_the_note_void_the_whole_again(account: Account) -> None:
    v1, invoice = account.stripe.v1, await _open(account)
    line = invoice.lines.data[0].id
    asked: Any = {
        "invoice": invoice.id,
        "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 900}],
    }
    preview = await v1.credit_notes.preview_async(asked)
    assert (preview.pre_payment_amount, preview.type) == (900, "pre_payment")
    assert (await v1.invoices.retrieve_async(invoice.id)).amount_due == 9_900
    asked |= {"reason": "order_change", "memo": "Less"}
    note = await v1.credit_notes.create_async(asked)
    assert (note.total, note.pre_payment_amount, note.post_payment_amount) == (900, 900, 0)
    assert note.number == f"{invoice.number}-CN-01"
    after = await v1.invoices.retrieve_async(invoice.id)
    assert (after.total, after.amount_due, after.amount_remaining) == (9_900, 9_000, 9_000)
    assert after.pre_payment_credit_notes_amount == 900
    await v1.credit_notes.update_async(note.id, {"memo": "Less to pay"})
    voided = await v1.credit_notes.void_credit_note_async(note.id)
    assert (voided.status, voided.memo) == ("void", "Less to pay")
    again = await v1.invoices.retrieve_async(invoice.id)
    assert (again.amount_due, again.pre_payment_credit_notes_amount) == (9_900, 0)
    with pytest.raises(stripe.InvalidRequestError):
        await v1.credit_notes.void_credit_note_async(note.id)
    assert await _told(account) == [
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
    ]
    [listed] = (await v1.credit_notes.list_async({"invoice": invoice.id})).data
    assert listed.id == note.id


async def test_what_is_left_is_charged_and_nothing_left_is_paid(account: Account) -> None:
    v1, invoice = account.stripe.v1, await _open(account)
    await v1.credit_notes.create_async({"invoice": invoice.id, "amount": 900})
    paid = await v1.invoices.pay_async(invoice.id)
    assert (paid.status, paid.amount_paid) == ("paid", 9_000)
    assert (await v1.charges.list_async()).data[0].amount == 9_000
    other = await _open(account)
    await v1.credit_notes.create_async({"invoice": other.id, "amount": 9_900})
    settled = await v1.invoices.retrieve_async(other.id)
    assert (settled.status, settled.amount_paid, settled.amount_due) == ("paid", 0, 0)


async def test_what_was_paid_goes_back_in_the_ways_that_are_named(account: Account) -> None:
    v1, invoice = account.stripe.v1, await _paid(account)
    with pytest.raises(stripe.InvalidRequestError, match="must equal the post payment amount"):
        await v1.credit_notes.create_async({"invoice": invoice.id, "amount": 1_000})
    note = await v1.credit_notes.create_async(
        {
            "invoice": invoice.id,
            "amount": 1_000,
            "refund_amount": 500,
            "credit_amount": 300,
            "out_of_band_amount": 200,
        }
    )
    assert (note.post_payment_amount, note.type) == (1_000, "post_payment")
    [refund] = note.refunds
    assert (await v1.refunds.retrieve_async(str(refund.refund))).amount == 500
    assert (await v1.customers.retrieve_async(invoice.customer)).balance == -300
    after = await v1.invoices.retrieve_async(invoice.id)
    assert (after.amount_paid, after.post_payment_credit_notes_amount) == (9_900, 1_000)
    with pytest.raises(stripe.InvalidRequestError):
        await v1.credit_notes.void_credit_note_async(note.id)
    with pytest.raises(stripe.InvalidRequestError, match="at most what is left"):
        await v1.credit_notes.create_async(
            {"invoice": invoice.id, "amount": 9_000, "out_of_band_amount": 9_000}
        )


async def test_a_refund_that_was_made_before_is_named_by_a_note(account: Account) -> None:
    v1, invoice = account.stripe.v1, await _paid(account)
    charge = (await v1.charges.list_async()).data[0]
    refund = await v1.refunds.create_async({"charge": charge.id, "amount": 700})
    note = await v1.credit_notes.create_async(
        {"invoice": invoice.id, "amount": 700, "refunds": [{"refund": refund.id}]}
    )
    assert [(one.refund, one.amount_refunded) for one in note.refunds] == [(refund.id, 700)]
    assert (await v1.charges.retrieve_async(charge.id)).amount_refunded == 700
