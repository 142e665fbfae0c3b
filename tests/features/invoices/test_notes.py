"""Credit notes as customers read them, and refunds that are sent by hand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import START
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.service import Service

INVOICES = "/api/v1/billing/invoices"
NOTES = "/api/v1/billing/credit-notes"
ADMIN = "/api/v1/admin/credit-notes"


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await an_operator(service)


@pytest.fixture
async def plus(service: Service) -> Owner:
    return await an_owner(service, plan="enterprise_plus", organization_name="Difference Ltd")


@pytest.fixture
async def paid(operator: httpx.AsyncClient, plus: Owner) -> dict[str, Any]:
    """5,003.00 dollars and 19 % on it, paid by transfer."""
    await spend(plus, "one", START, 300)
    draft = await generate(operator, plus, "2026-11", tax_rate="0.19")
    return await act(operator, await act(operator, draft, "finalize"), "mark-paid")


def asking(*lines: tuple[int, int | None], **more: Any) -> dict[str, Any]:
    return {
        "lines": [{"line": line, "amount": amount} for line, amount in lines],
        "kind": "goodwill",
        "reason": "The night of the outage",
        **more,
    }


async def test_a_line_is_named_once(operator: httpx.AsyncClient, paid: dict[str, Any]) -> None:
    answer = await operator.post(
        f"/api/v1/admin/invoices/{paid['id']}/credit-notes", json=asking((0, 1), (0, 2))
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_a_note_is_listed_shown_and_stands_beside_its_invoice(
    operator: httpx.AsyncClient, plus: Owner, paid: dict[str, Any]
) -> None:
    before = await plus.client.get(f"{INVOICES}/{paid['id']}/pdf")
    made = await act(operator, paid, "credit-notes", **asking((0, 100_000), (1, None)))
    assert (made["net"], made["tax"], made["total"]) == (100_300, 19_057, 119_357)
    assert [(line["line"], line["amount"], line["tax"]) for line in made["lines"]] == [
        (0, 100_000, 19_000),
        (1, 300, 57),
    ]
    assert (made["settlement"], made["refund"]) == ("credit", None)
    assert (await plus.client.get(f"{NOTES}/{made['id']}")).json() == made
    assert (await plus.client.get(NOTES)).json()["data"] == [made]
    shown = (await plus.client.get(f"{INVOICES}/{paid['id']}")).json()
    assert (shown["amount_credited"], shown["amount_refunded"]) == (119_357, 0)
    assert shown["credit_notes"] == [made]
    assert (await plus.client.get(INVOICES)).json()["data"] == [shown]
    page = TextOf((await plus.client.get(f"{INVOICES}/{paid['id']}/html")).text).text
    assert f"Credit note {made['number']} of 21 Nov 2026 USD 1,193.57" in page
    # An issued document stays the same.
    assert (await plus.client.get(f"{INVOICES}/{paid['id']}/pdf")).content == before.content
    assert shown | {"credit_notes": [], "amount_credited": 0} == paid


async def test_the_pdf_and_the_page_of_a_note_say_the_same_for_ever(
    operator: httpx.AsyncClient, plus: Owner, paid: dict[str, Any]
) -> None:
    made = await act(operator, paid, "credit-notes", **asking((0, 100), settlement="refund"))
    pdf = await plus.client.get(f"{NOTES}/{made['id']}/pdf")
    page = await plus.client.get(f"{NOTES}/{made['id']}/html")
    assert made["number"] in pdf.headers["content-disposition"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for text in (TextOf(page.text).text, pdf_text(pdf.content)):
        assert made["number"] in text
        assert paid["number"] in text
        assert "Difference Ltd" in text
        assert "Enterprise+ plan 1.00 0.19 1.19" in text
        assert "Total USD 1.19" in text
        assert "Reason: The night of the outage" in text
    await operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 1"})
    assert (await plus.client.get(f"{NOTES}/{made['id']}/pdf")).content == pdf.content


async def test_of_another_organization_there_is_no_note(
    service: Service, operator: httpx.AsyncClient, plus: Owner, paid: dict[str, Any]
) -> None:
    made = await act(operator, paid, "credit-notes", **asking((0, 100)))
    stranger = (await an_owner(service)).client
    for path in ("", "/pdf", "/html"):
        refused = await stranger.get(f"{NOTES}/{made['id']}{path}")
        assert (refused.status_code, refused.json()["code"]) == (404, "credit_note_not_found")
    assert (await stranger.get(NOTES)).json()["data"] == []
    assert (await stranger.get(ADMIN)).status_code == 403
    mine = {"organization_id": plus.id}
    assert (await operator.get(ADMIN, params=mine)).json()["data"] == [made]


async def test_many_notes_are_read_in_pages(
    operator: httpx.AsyncClient, plus: Owner, paid: dict[str, Any]
) -> None:
    made = [
        (await act(operator, paid, "credit-notes", **asking((0, 1 + n))))["id"] for n in range(5)
    ]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page = (await plus.client.get(NOTES, params={"limit": 2} | _at(cursor))).json()
        seen += [note["id"] for note in page["data"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (made[::-1], None)


def _at(cursor: str | None) -> dict[str, Any]:
    return {"cursor": cursor} if cursor else {}


async def test_a_refund_of_a_transfer_waits_for_its_reference(
    operator: httpx.AsyncClient, plus: Owner, paid: dict[str, Any]
) -> None:
    made = await act(operator, paid, "credit-notes", **asking((0, 100), settlement="refund"))
    assert (made["refund"]["way"], made["refund"]["status"]) == ("transfer", "requested")
    waiting = {"organization_id": plus.id, "refund": "requested"}
    assert (await operator.get(ADMIN, params=waiting)).json()["data"] == [made]
    assert (await _invoice(plus, paid))["amount_refunded"] == 0

    sent = await operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 1"})
    assert sent.status_code == 200, sent.text
    refund = sent.json()["refund"]
    assert (refund["status"], refund["reference"]) == ("made", "SEPA 1")
    assert refund["refunded_at"] == "2026-11-21T09:00:00Z"
    again = await operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 1"})
    assert again.json() == sent.json()
    twice = await operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 2"})
    assert (twice.status_code, twice.json()["code"]) == (409, "no_refund_waits")
    assert (await _invoice(plus, paid))["amount_refunded"] == 119

    at_once = await act(
        operator,
        paid,
        "credit-notes",
        **asking((0, 100), settlement="refund", refund_reference="SEPA 3"),
    )
    assert (at_once["refund"]["status"], at_once["refund"]["reference"]) == ("made", "SEPA 3")
    assert (await _invoice(plus, paid))["amount_refunded"] == 238


async def test_what_is_no_refund_cannot_be_sent(
    operator: httpx.AsyncClient, paid: dict[str, Any]
) -> None:
    made = await act(operator, paid, "credit-notes", **asking((0, 100)))
    refused = await operator.post(f"{ADMIN}/{made['id']}/sent", json={"reference": "SEPA 1"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_refund_waits")
    missing = made["id"][:-1] + ("0" if made["id"][-1] != "0" else "1")
    refused = await operator.post(f"{ADMIN}/{missing}/sent", json={"reference": "SEPA 1"})
    assert (refused.status_code, refused.json()["code"]) == (404, "credit_note_not_found")


async def _invoice(owner: Owner, invoice: dict[str, Any]) -> dict[str, Any]:
    return dict((await owner.client.get(f"{INVOICES}/{invoice['id']}")).json())
