"""What a customer sees of their invoices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.gateways.stripe.gateway import StripeInvoice
from app.invoices.service.mirror import InvoiceMirror
from tests.factories.invoices import NOVEMBER, a_stripe_invoice
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.service import Service

PATH = "/api/v1/billing/invoices"


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, organization_name="<b>Žofia</b> & Söhne")


async def told(service: Service, owner: Owner, *invoices: StripeInvoice) -> None:
    for invoice in invoices:
        await service.services[InvoiceMirror].record(owner.organization_id, invoice)


async def only(owner: Owner) -> dict[str, Any]:
    (invoice,) = (await owner.client.get(PATH)).json()["data"]
    return dict(invoice)


async def test_an_invoice_has_every_promised_field(service: Service, owner: Owner) -> None:
    stripe = a_stripe_invoice(due_at=NOVEMBER.end)
    await told(service, owner, stripe)
    listed = await only(owner)
    assert listed["id"].startswith("inv_")
    assert {
        name: listed[name]
        for name in (
            *("number", "origin", "status", "paid", "currency", "subtotal", "tax", "total"),
            *("amount_due", "amount_paid", "created", "due_date", "period_start", "period_end"),
            *("hosted_invoice_url", "stripe_invoice_id", "billing_reason"),
        )
    } == {
        "number": stripe.number,
        "origin": "stripe",
        "status": "paid",
        "paid": True,
        "currency": "usd",
        "subtotal": 29900,
        "tax": 0,
        "total": 29900,
        "amount_due": 29900,
        "amount_paid": 29900,
        "created": "2026-11-21T09:00:00Z",
        "due_date": "2026-12-21T09:00:00Z",
        "period_start": "2026-11-21T09:00:00Z",
        "period_end": "2026-12-21T09:00:00Z",
        "hosted_invoice_url": stripe.hosted_url,
        "stripe_invoice_id": stripe.id,
        "billing_reason": "subscription_cycle",
    }
    assert listed["invoice_pdf"].endswith(f"{PATH}/{listed['id']}/pdf")
    (line,) = listed["lines"]
    assert (line["quantity"], line["amount"]) == (1, 29900)
    one = await owner.client.get(f"{PATH}/{listed['id']}")
    assert one.json() == listed
    assert (await owner.client.get("/api/billing/invoices")).json()["data"] == [listed]


async def test_the_list_is_paged_and_filtered(service: Service, owner: Owner) -> None:
    for age in range(5):
        created = NOVEMBER.start - timedelta(days=age)
        status = "open" if age % 2 else "paid"
        await told(service, owner, a_stripe_invoice(status, created_at=created))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (
            await owner.client.get(
                PATH, params={"limit": 2, **({"cursor": cursor} if cursor else {})}
            )
        ).json()
        seen += [item["created"] for item in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)
    opened = (await owner.client.get(PATH, params={"status": "open"})).json()["data"]
    assert [item["status"] for item in opened] == ["open", "open"]
    assert (await owner.client.get(PATH, params={"status": "lost"})).status_code == 422


async def test_the_pdf_and_the_page_show_what_the_api_says(service: Service, owner: Owner) -> None:
    await told(service, owner, a_stripe_invoice())
    invoice = await only(owner)
    pdf = await owner.client.get(f"{PATH}/{invoice['id']}/pdf")
    assert pdf.status_code == 200
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.headers["content-disposition"] == f'inline; filename="{invoice["number"]}.pdf"'
    again = await owner.client.get(f"{PATH}/{invoice['id']}/pdf")
    assert again.content == pdf.content
    page = await owner.client.get(f"{PATH}/{invoice['id']}/html")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for text in (pdf_text(pdf.content), TextOf(page.text).text):
        assert invoice["number"] in text
        assert "Paid in full USD 299.00" in text
        assert "<b>Žofia</b> & Söhne" in text
        assert invoice["lines"][0]["description"] in text
        assert "21 Nov 2026 – 21 Dec 2026" in text
    table = await owner.client.get(f"{PATH}/{invoice['id']}/csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert ",299.00,usd,line" in table.text


@pytest.mark.parametrize(
    ("status", "shown", "owed"),
    [
        ("open", "Amount due USD 299.00", 29900),
        ("void", "nothing is owed on this invoice USD 0.00", 0),
        ("uncollectible", "Written off as uncollectible USD 299.00", 29900),
        ("draft", "Draft, not yet issued USD 299.00", 29900),
    ],
)
async def test_each_state_says_what_is_owed(
    service: Service, owner: Owner, status: str, shown: str, owed: int
) -> None:
    await told(service, owner, a_stripe_invoice(status))
    invoice = await only(owner)
    assert invoice["amount_remaining"] == owed
    assert not invoice["paid"]
    page = await owner.client.get(f"{PATH}/{invoice['id']}/html")
    assert shown in TextOf(page.text).text


async def test_a_balance_explains_the_difference(service: Service, owner: Owner) -> None:
    await told(
        service,
        owner,
        a_stripe_invoice("open", amount_due=25000, amount_remaining=25000),
    )
    invoice = await only(owner)
    text = TextOf((await owner.client.get(f"{PATH}/{invoice['id']}/html")).text).text
    assert "Total USD 299.00 Customer balance USD -49.00 Amount paid USD 0.00" in text


@pytest.mark.parametrize("kind", ["", "/pdf", "/html", "/csv"])
async def test_a_stranger_finds_nothing(service: Service, owner: Owner, kind: str) -> None:
    await told(service, owner, a_stripe_invoice())
    invoice = await only(owner)
    stranger = await an_owner(service)
    answer = await stranger.client.get(f"{PATH}/{invoice['id']}{kind}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "invoice_not_found"
    assert (await stranger.client.get(PATH)).json()["data"] == []
    assert (await service.client().get(f"{PATH}/{invoice['id']}{kind}")).status_code == 401
    assert (await owner.client.get(f"{PATH}/inv_nonsense{kind}")).status_code == 422
