"""Proofs of invoices: what they say, that they stay as they are, and how they are chained."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.kernel.clock import ManualClock
from tests.conftest import START
from tests.factories.billing import act, generate, spend, use
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service
from tests.support.staying import staying_signed_in

INVOICES = "/api/v1/billing/invoices"
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


async def proof_of(owner: Owner, invoice: dict[str, Any]) -> bytes:
    answer = await owner.client.get(f"{INVOICES}/{invoice['id']}/proof")
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_a_proof_says_what_the_invoice_says_and_hashes_to_its_hash(
    operator: httpx.AsyncClient, plus: Owner
) -> None:
    await use(plus, "one", START, tokens_in=1500, tokens_out=800)
    draft = await generate(operator, plus, NOVEMBER, tax_rate="0.1")
    refused = await plus.client.get(f"{INVOICES}/{draft['id']}/proof")
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_not_issued")
    issued = await act(operator, draft, "finalize")
    text = await proof_of(plus, issued)
    answer = json.loads(text)
    proof = answer["proof"]
    spelled = json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(spelled.encode()).hexdigest() == answer["hash"]
    assert spelled.encode() in text
    totals = ("subtotal", "discount", "tax", "total", "amount_due")
    assert {name: proof["totals"][name] for name in totals} == {
        name: issued[name] for name in totals
    }
    assert proof["number"] == issued["number"]
    shown = [(line["index"], line["amount"], line["tax"]) for line in issued["lines"]]
    assert [(one["index"], one["amount"], one["tax"]) for one in proof["lines"]] == shown
    assert [index for index, *_ in shown] == [0, 1]


async def test_late_usage_and_a_void_leave_the_proof_as_it_was(
    operator: httpx.AsyncClient, plus: Owner, clock: ManualClock
) -> None:
    await spend(plus, "one", START, 300)
    draft = await generate(operator, plus, NOVEMBER)
    first = await act(operator, draft, "finalize")
    before = await proof_of(plus, first)
    clock.advance(timedelta(minutes=5))
    await spend(plus, "late", START, 300)
    await plus.client.post("/api/v1/usage/events/one/void", json={"reason": "twice"})
    assert await proof_of(plus, first) == before
    await act(operator, first, "void")
    assert await proof_of(plus, first) == before


async def test_nobody_reads_the_proof_of_another_organization(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    invoice = await act(operator, await generate(operator, plus, NOVEMBER), "finalize")
    other = await an_owner(service)
    answer = await other.client.get(f"{INVOICES}/{invoice['id']}/proof")
    assert (answer.status_code, answer.json()["code"]) == (404, "invoice_not_found")
