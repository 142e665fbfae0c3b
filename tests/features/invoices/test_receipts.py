"""Receipts: of what is paid, and of nothing else."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import START
from tests.factories.billing import act, generate, spend
from tests.factories.invoices import a_paid_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.service import Service

INVOICES = "/api/v1/billing/invoices"


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await an_operator(service)


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, plan="enterprise_plus", organization_name="Difference Ltd")


async def test_a_receipt_says_how_each_part_was_paid(
    operator: httpx.AsyncClient, owner: Owner
) -> None:
    grant = {"organization_id": owner.id, "amount": 1000, "type": "promotional"}
    given = await operator.post("/api/v1/admin/credits/grants", json=grant)
    assert given.status_code == 201, given.text
    await spend(owner, "one", START, 300)
    issued = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
    path = f"{INVOICES}/{issued['id']}/receipt"
    early = await owner.client.get(path)
    assert (early.status_code, early.json()["code"]) == (409, "invoice_not_paid")
    note = {"lines": [{"line": 0, "amount": 9300}], "kind": "goodwill", "reason": "Sorry"}
    await act(operator, issued, "credit-notes", **note)
    await act(operator, issued, "mark-paid", amount=90_000, reference="SEPA 7")
    paid = await act(operator, issued, "mark-paid")
    assert paid["status"] == "paid"

    pdf = await owner.client.get(path)
    page = await owner.client.get(path, params={"format": "html"})
    assert f"receipt-{issued['number']}.pdf" in pdf.headers["content-disposition"]
    for text in (TextOf(page.text).text, pdf_text(pdf.content)):
        assert f"Receipt {issued['number']}" in text
        assert "Prepaid credit 21 Nov 2026 10.00" in text
        assert "Bank transfer SEPA 7 21 Nov 2026 900.00" in text
        assert "Bank transfer 21 Nov 2026 4,000.00" in text
        assert "CN-2026-" in text
        assert "Total of the invoice USD 5,003.00" in text
        assert "Settled USD 5,003.00" in text
    assert (await owner.client.get(path)).content == pdf.content


async def test_stripes_invoices_have_receipts_of_ours(service: Service, owner: Owner) -> None:
    invoice_id = await a_paid_invoice(service, owner.organization_id)
    path = f"{INVOICES}/{invoice_id}/receipt"
    text = pdf_text((await owner.client.get(path)).content)
    assert "Card or account, through Stripe" in text
    assert "Settled USD 299.00" in text
    stranger = await an_owner(service)
    assert (await stranger.client.get(path)).status_code == 404


@pytest.mark.parametrize("ending", ["draft", "void"])
async def test_what_is_not_paid_has_no_receipt(
    operator: httpx.AsyncClient, owner: Owner, ending: str
) -> None:
    draft = await generate(operator, owner, "2026-11")
    if ending == "void":
        await act(operator, await act(operator, draft, "finalize"), "void")
    refused = await owner.client.get(f"{INVOICES}/{draft['id']}/receipt")
    assert (refused.status_code, refused.json()["status"]) == (409, 409)
    assert refused.json()["detail"].startswith(f"The invoice is {ending}")
