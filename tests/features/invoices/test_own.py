"""Invoices of our own over the API: drafted, issued, corrected, paid, void."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from facturx import get_xml_from_pdf
from sqlalchemy import URL

from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from app.pricing.domain import NewPrice, TokenRole
from app.pricing.service import PriceService
from tests.conftest import START
from tests.factories.billing import act, generate, spend, use
from tests.factories.invoices import a_paid_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.service import Service, running
from tests.support.staying import staying_signed_in
from tests.support.sums import added_up

INVOICES = "/api/v1/billing/invoices"
ADMIN = "/api/v1/admin/invoices"
NOVEMBER, DECEMBER = "2026-11", "2026-12"


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await staying_signed_in(service, await an_operator(service))


@pytest.fixture
async def plus(service: Service) -> Owner:
    """An organization with a plan that nobody else bills: 5,000 a month and tokens at cost."""
    owner = await an_owner(service, plan="enterprise_plus", organization_name="Difference Ltd")
    await staying_signed_in(service, owner.client)
    return owner


@pytest.fixture
async def free(service: Service) -> Owner:
    """An organization that pays nothing."""
    owner = await an_owner(service)
    await staying_signed_in(service, owner.client)
    return owner


def amounts(invoice: dict[str, Any]) -> list[tuple[str, int]]:
    return [(line["kind"], line["amount"]) for line in invoice["lines"]]


async def test_a_months_usage_becomes_a_draft_and_an_invoice(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await use(plus, "one", START, tokens_in=1500, tokens_out=800)
    await spend(plus, "two", START, 300)
    draft = await generate(operator, plus, NOVEMBER, tax_rate="0.1")
    assert amounts(draft) == [("fee", 500_000), ("usage", 302)]  # 3.0165 dollars
    assert {
        name: draft[name]
        for name in ("origin", "status", "number", "subtotal", "tax", "total", "amount_due", "plan")
    } == {
        "origin": "own",
        "status": "draft",
        "number": None,
        "subtotal": 500_302,
        "tax": 50_030,
        "total": 550_332,
        "amount_due": 550_332,
        "plan": "enterprise_plus",
    }
    assert draft["taxes"] == [{"name": "Tax", "rate": "0.1", "amount": 50_030}]
    await spend(plus, "three", START, 300)
    again = await generate(operator, plus, NOVEMBER, tax_rate="0.1")
    assert (again["id"], again["subtotal"]) == (draft["id"], 500_602)

    issued = await act(operator, draft, "finalize")
    assert issued["status"] == "open"
    assert issued["number"].startswith("INV-2026-")
    assert issued["due_date"] == "2026-12-05T09:00:00Z"
    assert await act(operator, draft, "finalize") == issued
    (listed,) = (await plus.client.get(INVOICES)).json()["data"]
    assert listed == issued
    refused = await operator.post(
        f"{ADMIN}/generate", json={"organization_id": plus.id, "period": NOVEMBER}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "window_already_billed")
    assert refused.json()["invoice"] == issued["id"]


async def test_the_pdf_the_page_and_the_table_show_what_the_api_says(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    draft = await generate(operator, plus, NOVEMBER, tax_rate="0.19")
    issued = await act(operator, draft, "finalize")
    page = await plus.client.get(f"{INVOICES}/{issued['id']}/html")
    pdf = await plus.client.get(f"{INVOICES}/{issued['id']}/pdf")
    for text in (TextOf(page.text).text, pdf_text(pdf.content)):
        assert issued["number"] in text
        assert "Difference Ltd" in text
        assert "Enterprise+ plan" in text
        assert "anthropic/claude-sonnet-4: 1,000,000 tokens in, 0 out" in text
        assert "Subtotal USD 5,003.00" in text
        assert "Tax 19 % USD 950.57" in text
        assert "Total USD 5,953.57" in text
    table = await plus.client.get(f"{INVOICES}/{issued['id']}/csv")
    assert ",3.00,usd,line" in table.text
    assert added_up(table.text) == {
        "line": "5003.00",
        "tax": "950.57",
        "total": "5953.57",
        "amount_paid": "0.00",
        "amount_due": "5953.57",
    }


async def test_any_plans_usage_can_be_billed_at_cost_when_an_operator_asks(
    service: Service, operator: httpx.AsyncClient, free: Owner
) -> None:
    await use(free, "one", START, tokens_in=1500, tokens_out=800)
    await use(free, "two", START, tokens_in=0, type="debate", provider=None, model=None)
    invoice = await generate(operator, free, NOVEMBER)
    assert amounts(invoice) == [("usage", 2)]  # 0.0165 dollars
    assert (invoice["subtotal"], invoice["tax"], invoice["total"]) == (2, 0, 2)


async def test_usage_without_a_price_holds_its_invoice_up(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await use(plus, "one", START, tokens_in=100, provider="acme", model="riddle-1")
    asked = {"organization_id": plus.id, "period": NOVEMBER}
    refused = await operator.post(f"{ADMIN}/generate", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "usage_unpriced")
    assert (await plus.client.get(INVOICES)).json()["data"] == []
    prices = service.services[PriceService]
    await prices.add([NewPrice("acme", "riddle-1", TokenRole.INPUT, Decimal(10_000), None)])
    await service.drain()
    invoice = await generate(operator, plus, NOVEMBER)
    assert amounts(invoice) == [("fee", 500_000), ("usage", 100)]


async def run(service: Service, at: datetime) -> None:
    service.clock.set(at)
    await service.services[InvoiceRun].close()


async def issued_for(owner: Owner, month: str) -> dict[str, Any]:
    found = (await owner.client.get(INVOICES)).json()["data"]
    (invoice,) = [one for one in found if one["period_start"].startswith(month)]
    assert invoice["status"] in ("open", "paid")
    return dict(invoice)


IN_DECEMBER = datetime.fromisoformat("2026-12-20T10:00:00+00:00")
AFTER_NOVEMBER = datetime.fromisoformat("2026-12-02T10:00:00+00:00")
AFTER_DECEMBER = datetime.fromisoformat("2027-01-02T10:00:00+00:00")


async def test_the_run_waits_for_late_events_and_then_issues(service: Service, plus: Owner) -> None:
    await spend(plus, "one", START, 300)
    await run(service, datetime.fromisoformat("2026-12-01T01:00:00+00:00"))
    (draft,) = (await plus.client.get(INVOICES)).json()["data"]
    assert (draft["status"], draft["subtotal"]) == ("draft", 500_300)
    assert draft["finalize_after"] == "2026-12-02T00:00:00Z"
    await spend(plus, "late", START, 60)
    await run(service, AFTER_NOVEMBER)
    issued = await issued_for(plus, NOVEMBER)
    assert (issued["id"], issued["subtotal"]) == (draft["id"], 500_360)
    await run(service, AFTER_NOVEMBER)
    assert len((await plus.client.get(INVOICES)).json()["data"]) == 1


async def test_what_changes_after_issue_stands_on_the_next_invoice(
    service: Service, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    await spend(plus, "wrong", START, 90)
    await run(service, AFTER_NOVEMBER)
    first = await issued_for(plus, NOVEMBER)
    assert first["subtotal"] == 500_390
    await spend(plus, "late", START + timedelta(hours=1), 30)
    answer = await plus.client.post("/api/v1/usage/events/wrong/void", json={"reason": "a test"})
    assert answer.status_code == 200
    service.clock.set(IN_DECEMBER)
    await spend(plus, "december", IN_DECEMBER, 600)
    await run(service, AFTER_DECEMBER)
    second = await issued_for(plus, DECEMBER)
    assert amounts(second) == [("fee", 500_000), ("usage", 600), ("adjustment", -60)]
    assert second["lines"][2]["period_start"] == "2026-11-01T00:00:00Z"
    assert await issued_for(plus, NOVEMBER) == first
    # Nothing is adjusted twice.
    await run(service, datetime.fromisoformat("2027-02-03T10:00:00+00:00"))
    assert amounts(await issued_for(plus, "2027-01")) == [("fee", 500_000)]


async def test_more_is_given_back_than_the_next_invoice_asks_for(
    service: Service, operator: httpx.AsyncClient, free: Owner
) -> None:
    """The remainder waits: no document asks for less than nothing."""
    await spend(free, "wrong", START, 3_000)
    first = await act(operator, await generate(operator, free, NOVEMBER), "finalize")
    await free.client.post("/api/v1/usage/events/wrong/void", json={"reason": "a test"})
    service.clock.set(IN_DECEMBER)
    await spend(free, "december", IN_DECEMBER, 1_200)
    second = await act(operator, await generate(operator, free, DECEMBER), "finalize")
    assert amounts(second) == [("usage", 1_200), ("adjustment", -1_200)]
    assert (second["total"], second["status"]) == (0, "paid")
    service.clock.set(datetime.fromisoformat("2027-01-20T10:00:00+00:00"))
    await spend(free, "january", service.clock.now(), 3_000)
    third = await act(operator, await generate(operator, free, "2027-01"), "finalize")
    assert amounts(third) == [("usage", 3_000), ("adjustment", -1_800)]
    assert sum(one["subtotal"] for one in (first, second, third)) == 4_200


async def test_transfers_pay_an_invoice_in_parts(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    draft = await generate(operator, plus, NOVEMBER)
    early = await operator.post(f"{ADMIN}/{draft['id']}/mark-paid", json={})
    assert (early.status_code, early.json()["code"]) == (409, "invoice_not_issued")
    await act(operator, draft, "finalize")
    part = await act(operator, draft, "mark-paid", amount=100_000, reference="wire 1")
    assert (part["status"], part["amount_paid"], part["amount_remaining"]) == (
        "open",
        100_000,
        400_000,
    )
    same = {"amount": 100_000, "reference": "wire 1"}
    for when in ({}, {"received_at": START.isoformat()}):
        again = await operator.post(f"{ADMIN}/{draft['id']}/mark-paid", json={**same, **when})
        assert (again.status_code, again.json()["code"]) == (409, "payment_already_noted")
    ahead = await operator.post(
        f"{ADMIN}/{draft['id']}/mark-paid", json={"received_at": "2027-01-01T00:00:00Z"}
    )
    assert (ahead.status_code, ahead.json()["code"]) == (422, "payment_in_the_future")
    much = await operator.post(f"{ADMIN}/{draft['id']}/mark-paid", json={"amount": 400_001})
    assert (much.status_code, much.json()["code"]) == (422, "payment_mismatch")
    paid = await act(operator, draft, "mark-paid", reference="wire 2")
    assert (paid["status"], paid["amount_remaining"], paid["paid"]) == ("paid", 0, True)
    for repeat in ({}, {"reference": "wire 2"}, {"amount": 100_000, "reference": "wire 1"}):
        assert await act(operator, draft, "mark-paid", **repeat) == paid
    for other in (
        {"amount": 400_000},
        {"reference": "wire 3"},
        {"amount": 100_000, "reference": "wire 2"},
    ):
        again = await operator.post(f"{ADMIN}/{draft['id']}/mark-paid", json=other)
        assert (again.status_code, again.json()["code"]) == (409, "invoice_already_paid")
    refused = await operator.post(f"{ADMIN}/{draft['id']}/void", json={"reason": "no"})
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_settled")


async def test_a_window_that_has_not_begun_stays_a_draft(
    operator: httpx.AsyncClient, plus: Owner
) -> None:
    for month in ("2026-12", "2027-05"):
        draft = await generate(operator, plus, month)
        refused = await operator.post(f"{ADMIN}/{draft['id']}/finalize")
        assert (refused.status_code, refused.json()["code"]) == (422, "window_not_begun")


async def test_a_void_invoices_window_is_billed_again(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    first = await act(operator, await generate(operator, plus, NOVEMBER), "finalize")
    void = await act(operator, first, "void", reason="wrong address")
    assert (void["status"], void["amount_remaining"], void["number"]) == (
        "void",
        0,
        first["number"],
    )
    assert await act(operator, first, "void", reason="again") == void
    # The run leaves it to the operator; asked for, it is billed in full.
    await run(service, AFTER_NOVEMBER)
    assert len((await plus.client.get(INVOICES)).json()["data"]) == 1
    second = await act(operator, await generate(operator, plus, NOVEMBER), "finalize")
    assert second["id"] != first["id"]
    assert amounts(second) == [("fee", 500_000), ("usage", 300)]


async def test_a_void_invoices_usage_stands_on_the_next_one_and_its_fee_on_none(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    first = await act(operator, await generate(operator, plus, NOVEMBER), "finalize")
    await act(operator, first, "void", reason="for good")
    await run(service, AFTER_DECEMBER)
    december = await issued_for(plus, DECEMBER)
    assert amounts(december) == [("fee", 500_000), ("adjustment", 300)]


async def test_what_another_invoice_adjusted_is_not_billed_again_after_a_void(
    service: Service, operator: httpx.AsyncClient, free: Owner
) -> None:
    await spend(free, "one", START, 300)
    first = await act(operator, await generate(operator, free, NOVEMBER), "finalize")
    await spend(free, "late", START, 30)
    service.clock.set(IN_DECEMBER)
    second = await act(operator, await generate(operator, free, DECEMBER), "finalize")
    assert amounts(second) == [("adjustment", 30)]
    await act(operator, first, "void", reason="wrong address")
    third = await act(operator, await generate(operator, free, NOVEMBER), "finalize")
    assert amounts(third) == [("usage", 330), ("adjustment", -30)]


async def test_credit_notes_take_back_up_to_the_invoice_and_not_a_cent_more(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    draft = await generate(operator, plus, NOVEMBER, tax_rate="0.19")
    path = f"{ADMIN}/{draft['id']}/credit-notes"
    body: dict[str, Any] = {"lines": [{"line": 1}], "kind": "goodwill", "reason": "sorry"}
    early = await operator.post(path, json=body)
    assert early.json()["code"] == "invoice_not_issued"
    issued = await act(operator, draft, "finalize")
    parts = [
        await act(operator, draft, "credit-notes", **body | {"lines": [{"line": 1, "amount": 100}]})
        for _ in range(3)
    ]
    # 19 % of 3.00 is 0.57: the parts' taxes add up to the line's.
    assert [part["tax"] for part in parts] == [19, 19, 19]
    assert parts[0]["number"].startswith("CN-2026-")
    assert parts[0]["settlement"] == "reduction"
    more = await operator.post(path, json=body)
    assert more.json()["code"] in ("nothing_to_credit", "credit_exceeds_invoice")
    much = await operator.post(path, json=body | {"lines": [{"line": 0, "amount": 500_001}]})
    assert (much.status_code, much.json()["left"]) == (409, 500_000)
    rest = await act(operator, draft, "credit-notes", **body | {"lines": [{"line": 0}]})
    assert sum(part["total"] for part in (*parts, rest)) == issued["total"]
    found = (await plus.client.get(f"{INVOICES}/{draft['id']}")).json()
    assert (found["amount_remaining"], found["status"]) == (0, "paid")


@pytest.mark.parametrize(("kind", "adjusted"), [("correction", []), ("goodwill", [-300])])
async def test_a_correction_is_known_to_later_adjustments(
    service: Service, operator: httpx.AsyncClient, free: Owner, kind: str, adjusted: list[int]
) -> None:
    """A credit note for usage that is then voided: given back once by a correction; a gift of
    goodwill stays beside what voiding takes back."""
    await spend(free, "wrong", START, 300)
    await spend(free, "right", START, 600)
    first = await act(operator, await generate(operator, free, NOVEMBER), "finalize")
    note = {"lines": [{"line": 0, "amount": 300}], "kind": kind, "reason": "one was wrong"}
    await act(operator, first, "credit-notes", **note)
    await free.client.post("/api/v1/usage/events/wrong/void", json={"reason": "a test"})
    service.clock.set(IN_DECEMBER)
    await spend(free, "december", IN_DECEMBER, 900)
    second = await act(operator, await generate(operator, free, DECEMBER), "finalize")
    assert [line["amount"] for line in second["lines"] if line["kind"] == "adjustment"] == adjusted


async def test_a_refund_is_at_most_what_was_paid(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    draft = await generate(operator, plus, NOVEMBER)
    await act(operator, draft, "finalize")
    await act(operator, draft, "mark-paid")
    note = {"lines": [{"line": 0, "amount": 300_000}], "kind": "goodwill", "reason": "sorry"}
    refund = await act(operator, draft, "credit-notes", **note, settlement="refund")
    assert (refund["settlement"], refund["total"]) == ("refund", 300_000)
    again = await operator.post(
        f"{ADMIN}/{draft['id']}/credit-notes", json={**note, "settlement": "refund"}
    )
    assert (again.status_code, again.json()["left"]) == (409, 200_000)


async def test_only_operators_do_any_of_it(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    asked = {"organization_id": plus.id, "period": NOVEMBER}
    assert (await plus.client.post(f"{ADMIN}/generate", json=asked)).status_code == 403
    draft = await generate(operator, plus, NOVEMBER)
    for action, body in (("finalize", None), ("void", {"reason": "x"}), ("mark-paid", {})):
        answer = await plus.client.post(f"{ADMIN}/{draft['id']}/{action}", json=body)
        assert answer.status_code == 403
    for action in ("finalize", "void", "mark-paid"):
        missing = await operator.post(
            f"{ADMIN}/inv_{'0' * 26}/{action}", json={"reason": "x"} if action == "void" else {}
        )
        assert (missing.status_code, missing.json()["code"]) == (404, "invoice_not_found")
    stranger = await an_owner(service)
    assert (await stranger.client.get(f"{INVOICES}/{draft['id']}")).status_code == 404


async def test_what_stripe_issued_is_credited_there(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    mirrored = await a_paid_invoice(service, plus.organization_id)
    note = {"lines": [{"line": 0}], "kind": "goodwill", "reason": "sorry"}
    for action, body in (
        ("credit-notes", note),
        ("finalize", {}),
        ("void", {"reason": "x"}),
        ("mark-paid", {}),
    ):
        refused = await operator.post(f"{ADMIN}/{mirrored}/{action}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "invoice_is_stripes")
        assert "POST /api/v1/admin/refunds" in refused.json()["detail"]


async def test_the_running_period_is_shown_as_it_stands(
    service: Service, operator: httpx.AsyncClient, plus: Owner, free: Owner
) -> None:
    await spend(plus, "one", START, 300)
    for _ in range(2):
        coming = (await plus.client.get(f"{INVOICES}/upcoming")).json()
        assert (coming["lines"], coming["amount_due"]) == ([], 0)
        assert amounts(coming["own"]) == [("fee", 500_000), ("usage", 300)]
        assert (coming["own"]["total"], coming["due_at"]) == (500_300, "2026-12-01T00:00:00Z")
    assert (await plus.client.get(INVOICES)).json()["data"] == []
    nothing = await free.client.get(f"{INVOICES}/upcoming")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "no_subscription")


async def test_a_business_elsewhere_in_the_union_owes_the_tax_itself(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(
        fresh_url,
        clock,
        seller_country="DE",
        seller_tax_id="DE136695976",
        tax_name="VAT",
        tax_rate=Decimal("0.19"),
    ) as german:
        operator = await an_operator(german)
        taxed = []
        for country, tax_id in (("AT", "atu 135 85 627"), ("DE", "DE136695976"), ("AT", None)):
            owner = await an_owner(german, plan="enterprise_plus")
            details = {"legal_name": "Kunde", "address": ["Weg 1"], "country": country}
            answer = await owner.client.put(
                "/api/v1/billing/details", json={**details, "tax_id": tax_id}
            )
            assert answer.status_code == 200, answer.text
            invoice = await generate(operator, owner, NOVEMBER)
            taxed.append((invoice["tax"], bool(invoice["notes"])))
            page = TextOf((await owner.client.get(f"{INVOICES}/{invoice['id']}/html")).text).text
            assert ("Reverse charge" in page) == bool(invoice["notes"])
            xml = f"{INVOICES}/{invoice['id']}/xml"
            draft = await owner.client.get(xml)
            assert (draft.status_code, draft.json()["code"]) == (409, "invoice_not_issued")
            await act(operator, invoice, "finalize")
            answer = await owner.client.get(xml)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
            assert ("VATEX-EU-AE" in answer.text) == bool(invoice["notes"])
            # What is paid later is not part of the invoice: its electronic form never changes.
            hybrid = f"{INVOICES}/{invoice['id']}/pdf?format=facturx"
            before = (await owner.client.get(hybrid)).content
            await act(operator, invoice, "mark-paid", amount=invoice["total"])
            assert get_xml_from_pdf(before)[1] == answer.content
            assert (await owner.client.get(hybrid)).content == before
            assert (await owner.client.get(xml)).content == answer.content
        assert taxed == [(0, True), (95_000, False), (95_000, False)]
        wrong = await owner.client.put(
            "/api/v1/billing/details", json={**details, "tax_id": "ATU13585628"}
        )
        assert (wrong.status_code, wrong.json()["code"]) == (422, "vat_id_invalid")
        unknown = await an_owner(german, plan="enterprise_plus")
        invoice = await generate(operator, unknown, NOVEMBER)
        await act(operator, invoice, "finalize")
        refused = await unknown.client.get(f"{INVOICES}/{invoice['id']}/xml")
        assert (refused.status_code, refused.json()["code"]) == (409, "einvoice_incomplete")
        assert refused.json()["missing"] == ["billing_details.country"]


async def test_credits_beyond_the_plan_are_overage(fresh_url: URL, clock: ManualClock) -> None:
    """85 credits over 500 cost 0.17, as the requirements say."""
    async with running(fresh_url, clock, catalog="opscenter") as ops:
        operator, owner = await an_operator(ops), await an_owner(ops, plan="professional")
        for kind in ("inference", "embedding", "tts"):
            await use(owner, kind, START, type=kind, quantity=195, provider=None, model=None)
        invoice = await generate(operator, owner, NOVEMBER)
        assert amounts(invoice) == [("fee", 4_900), ("usage", 17)]
        assert invoice["lines"][1]["description"] == "Credits beyond 500 included"
        assert (invoice["lines"][1]["quantity"], invoice["lines"][1]["unit_price"]) == (85, "0.002")


async def test_what_an_operator_made_of_the_runs_draft_is_what_is_issued(
    service: Service, operator: httpx.AsyncClient
) -> None:
    """The run bills what the plan says; an operator who asks bills usage at cost as well."""
    owner = await an_owner(service, plan="enterprise")
    await staying_signed_in(service, owner.client)
    await spend(owner, "one", START, 300)
    service.clock.set(datetime.fromisoformat("2026-12-01T05:00:00+00:00"))
    await service.services[InvoiceRun].close()
    (made,) = (await owner.client.get(INVOICES)).json()["data"]
    asked = await generate(operator, owner, NOVEMBER)
    assert made["id"] == asked["id"]
    assert (made["status"], made["total"], asked["total"]) == ("draft", 99_900, 100_200)
    issued = await act(operator, asked, "finalize")
    assert amounts(issued) == amounts(asked)
