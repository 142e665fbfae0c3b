"""From the lines to the total, and from there to what is due: every document adds up."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.invoices.document import as_shown
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.table import render_csv
from app.kernel.money import Money
from tests.conftest import START
from tests.factories.billing import act, generate, spend
from tests.factories.invoices import a_document, a_stripe_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.service import Service
from tests.support.sums import added_up

INVOICES = "/api/v1/billing/invoices"


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await an_operator(service)


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, plan="enterprise_plus", organization_name="Difference Ltd")


@pytest.mark.parametrize(
    ("changes", "headline", "amount"),
    [
        ({}, "Paid in full", "USD 299.00"),
        ({"balance": Money(1100), "amount_paid": Money(31000)}, "Paid in full", "USD 310.00"),
        (
            {"credit": Money(29900), "amount_paid": Money(0)},
            "Settled: USD 299.00 by prepaid credit",
            "USD 299.00",
        ),
        (
            {"balance": Money(-4900), "amount_paid": Money(25000)},
            "Settled: USD 49.00 by customer balance, USD 250.00 by payment",
            "USD 299.00",
        ),
        (
            {"credit": Money(1000), "reduced": Money(8900), "amount_paid": Money(20000)},
            (
                "Settled: USD 10.00 by prepaid credit, USD 89.00 by credit notes,"
                " USD 200.00 by payment"
            ),
            "USD 299.00",
        ),
        (
            {"adjusted": Money(29900), "amount_paid": Money(0)},
            "Settled: USD 299.00 by adjustment",
            "USD 299.00",
        ),
        (
            {"status": "void", "adjusted": Money(29900), "amount_paid": Money(0)},
            "Void: nothing is owed on this invoice",
            "USD 0.00",
        ),
        (
            {
                "status": "open",
                "reduced": Money(8900),
                "amount_paid": Money(0),
                "amount_due": Money(21000),
            },
            "Amount due",
            "USD 210.00",
        ),
        ({"tax": Money(4774)}, "Paid in full", "USD 299.00"),
    ],
)
def test_only_what_money_paid_is_paid_in_full(
    changes: dict[str, Any], headline: str, amount: str
) -> None:
    document = a_document(**changes)
    shown = as_shown(document)
    assert (shown["headline"], shown["headline_amount"]) == (headline, amount)
    sums = added_up(render_csv(document))
    rows = {row["label"]: row["amount"] for row in shown["totals"]}
    assert rows["Amount due"] == f"USD {sums['amount_due']}"
    for kind, label in (
        ("customer_balance", "Customer balance"),
        ("credit_applied", "Prepaid credit"),
        ("credit_notes", "Credit notes"),
        ("adjustment", "Adjustment"),
        ("voided", "Void"),
        ("tax_included", "Tax (included)"),
    ):
        assert rows.get(label) == (f"USD {sums[kind]}" if kind in sums else None)


async def test_an_invoice_of_ours_says_what_took_how_much_off(
    operator: httpx.AsyncClient, owner: Owner
) -> None:
    grant = {"organization_id": owner.id, "amount": 1000, "type": "promotional"}
    assert (await operator.post("/api/v1/admin/credits/grants", json=grant)).status_code == 201
    await spend(owner, "one", START, 300)
    issued = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
    path = f"{INVOICES}/{issued['id']}"
    note = {"lines": [{"line": 0, "amount": 9300}], "kind": "goodwill", "reason": "Sorry"}
    made = await act(operator, issued, "credit-notes", **note)
    reduced = TextOf((await owner.client.get(f"{path}/html")).text).text
    assert (
        "Total USD 5,003.00 Prepaid credit USD -10.00 Credit notes USD -93.00"
        " Amount paid USD 0.00 Amount due USD 4,900.00"
    ) in reduced
    await act(operator, issued, "mark-paid")
    back = {**note, "lines": [{"line": 0, "amount": 10_000}], "settlement": "refund"}
    await act(operator, issued, "credit-notes", **back, refund_reference="SEPA 9")
    said = "Settled: USD 10.00 by prepaid credit, USD 93.00 by credit notes, USD 4,900.00 by"
    page = TextOf((await owner.client.get(f"{path}/html")).text).text
    pdf = await owner.client.get(f"{path}/pdf")
    receipt = await owner.client.get(f"{path}/receipt")
    for text in (page, pdf_text(pdf.content)):
        assert said in text
        assert "Paid in full" not in text
    assert "Settled: USD 10.00 by prepaid credit" in pdf_text(receipt.content)
    assert f"Credit note {made['number']} of 21 Nov 2026 USD 93.00" in page
    assert "Refunded USD 100.00 Paid, less refunds USD 4,800.00" in page
    assert added_up((await owner.client.get(f"{path}/csv")).text) == {
        "line": "5003.00",
        "tax": "0.00",
        "total": "5003.00",
        "credit_applied": "-10.00",
        "credit_notes": "-93.00",
        "amount_paid": "-4900.00",
        "amount_due": "0.00",
    }


async def test_an_invoice_of_stripes_says_what_credit_notes_took_off(
    service: Service, owner: Owner
) -> None:
    told = a_stripe_invoice(credited_before=2000, amount_due=27900, amount_paid=27900)
    async with service.work.begin(owner.organization_id):
        await service.services[InvoiceMirror].record(owner.organization_id, told)
    (invoice,) = (await owner.client.get(INVOICES)).json()["data"]
    path = f"{INVOICES}/{invoice['id']}"
    said = "Settled: USD 20.00 by credit notes, USD 279.00 by payment"
    receipt = pdf_text((await owner.client.get(f"{path}/receipt")).content)
    for text in (TextOf((await owner.client.get(f"{path}/html")).text).text, receipt):
        assert said in text
    assert "Settled USD 299.00" in receipt
    sums = added_up((await owner.client.get(f"{path}/csv")).text)
    assert (sums["credit_notes"], sums["amount_due"]) == ("-20.00", "0.00")


async def test_an_invoice_of_stripes_says_what_the_balance_paid(
    service: Service, owner: Owner
) -> None:
    told = a_stripe_invoice(
        discount=4900, total=25000, amount_due=10000, amount_paid=8000, amount_remaining=0
    )
    async with service.work.begin(owner.organization_id):
        await service.services[InvoiceMirror].record(owner.organization_id, told)
    (invoice,) = (await owner.client.get(INVOICES)).json()["data"]
    path = f"{INVOICES}/{invoice['id']}"
    said = "Settled: USD 150.00 by customer balance, USD 20.00 by adjustment, USD 80.00 by payment"
    assert said in TextOf((await owner.client.get(f"{path}/html")).text).text
    receipt = pdf_text((await owner.client.get(f"{path}/receipt")).content)
    assert said in receipt
    assert "Settled USD 250.00" in receipt
    assert added_up((await owner.client.get(f"{path}/csv")).text) == {
        "line": "299.00",
        "discount": "-49.00",
        "tax": "0.00",
        "total": "250.00",
        "customer_balance": "-150.00",
        "adjustment": "-20.00",
        "amount_paid": "-80.00",
        "amount_due": "0.00",
    }
