"""Proofs of invoices: what they say, that they stay as they are, and how they are chained."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from tests.conftest import START
from tests.factories.billing import act, generate, spend, use
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running
from tests.support.staying import staying_signed_in
from tools import verify_invoice as tool

INVOICES = "/api/v1/billing/invoices"
NOVEMBER, DECEMBER = "2026-11", "2026-12"
IN_DECEMBER = datetime.fromisoformat("2026-12-20T10:00:00+00:00")
TOOL = Path(tool.__file__)


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
    invoice = await act(operator, draft, "finalize")
    file = await proof_of(plus, invoice)
    answer = json.loads(file)
    proof = answer["proof"]
    spelled = json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(spelled.encode()).hexdigest() == answer["hash"]
    assert spelled.encode() in file
    totals = ("subtotal", "discount", "tax", "total", "amount_due")
    assert {name: proof["totals"][name] for name in totals} == {
        name: invoice[name] for name in totals
    }
    assert proof["number"] == invoice["number"]
    shown = [(line["index"], line["amount"], line["tax"]) for line in invoice["lines"]]
    assert [(one["index"], one["amount"], one["tax"]) for one in proof["lines"]] == shown
    assert [index for index, *_ in shown] == [0, 1]


async def test_late_usage_and_a_void_leave_the_proof_as_it_was(
    service: Service, operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    draft = await generate(operator, plus, NOVEMBER)
    first = await act(operator, draft, "finalize")
    before = await proof_of(plus, first)
    service.clock.advance(timedelta(minutes=5))
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


async def test_a_proof_and_the_export_are_all_that_it_takes(
    service: Service, operator: httpx.AsyncClient, plus: Owner, tmp_path: Path
) -> None:
    """A month with tax, credit and a code, a void, late usage and the month after it."""
    await use(plus, "=one|ö", START, tokens_in=15_000, tokens_out=803, cached_tokens=2_001)
    await use(plus, "two", START + timedelta(microseconds=7), tokens_out=77, model="claude-opus-4")
    await use(plus, "gone", START, tokens_in=999_999)
    await plus.client.post("/api/v1/usage/events/gone/void", json={"reason": "twice"})
    await plus.client.post("/api/v1/usage/events", json={"id": "d", "type": "debate"})
    await post(operator, "/admin/credits/grants", organization_id=plus.id, amount=12_345)
    first = await issued(operator, plus, NOVEMBER, tax_rate="0.19")
    assert first["credit_applied"] == 12_345
    service.clock.advance(timedelta(minutes=5))
    await use(plus, "late", START, tokens_in=4_000_000)
    service.clock.set(IN_DECEMBER)
    await use(plus, "december", IN_DECEMBER - timedelta(days=3), tokens_in=1_000_000)
    second = await issued(operator, plus, DECEMBER, tax_rate="0.19")
    assert [line["kind"] for line in second["lines"]] == ["fee", "usage", "adjustment"]

    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_bytes(await proof_of(plus, first))
    two.write_bytes(await proof_of(plus, second))
    for form in ("ndjson", "csv"):
        export = await plus.client.get(f"/api/v1/usage/events/export?format={form}")
        events = tmp_path / f"events.{form}"
        events.write_bytes(export.content)
        for arguments in ((one,), (two, "--previous", one)):
            assert await verified(*arguments, "--events", events) == (0, [])
    without = [line for line in events.read_bytes().splitlines(True) if b"december" not in line]
    events.write_bytes(b"".join(without))
    code, told = await verified(two, "--events", events)
    assert code == 1
    assert any(
        "2026-12-01" in line and "tokens_in" in line and "'1000000'" in line for line in told
    )
    assert any("digest" in line for line in told)
    assert (await verified(two, "--previous", two))[0] == 1
    assert (await verified(events))[0] == 2


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> None:
    answer = await client.post(f"/api/v1{path}", json=body)
    assert answer.status_code in (200, 201), answer.text


async def issued(
    operator: httpx.AsyncClient, owner: Owner, period: str, **more: Any
) -> dict[str, Any]:
    return await act(operator, await generate(operator, owner, period, **more), "finalize")


async def verified(*arguments: object) -> tuple[int, list[str]]:
    """What the program says of files, without any of this service in reach."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(TOOL),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=TOOL.parent,
    )
    out, _ = await program.communicate()
    assert program.returncode is not None
    told = [line for line in out.decode().splitlines() if line.startswith("WRONG")]
    return program.returncode, told


async def test_a_voided_invoice_and_the_one_in_its_place_are_both_in_the_chain(
    operator: httpx.AsyncClient, plus: Owner
) -> None:
    await spend(plus, "one", START, 300)
    first = await issued(operator, plus, NOVEMBER)
    await act(operator, first, "void")
    second = await issued(operator, plus, NOVEMBER)
    before, after = await proof_of(plus, first), await proof_of(plus, second)
    assert list(tool.verify(after, before)[1]) == []
    assert json.loads(after)["proof"]["previous"]["number"] == first["number"]
    assert tool.verify(before, after)[1], "the other way round it is no chain"


async def test_invoices_issued_at_the_same_time_are_one_chain(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service:
        operator = await an_operator(service)
        owners = [await an_owner(service, plan="enterprise_plus") for _ in range(6)]
        drafts = [await generate(operator, owner, NOVEMBER) for owner in owners]
        done = await asyncio.gather(*(act(operator, draft, "finalize") for draft in drafts))
        proofs = {
            invoice["number"]: await proof_of(owner, invoice)
            for owner, invoice in zip(owners, done, strict=True)
        }
        assert len(proofs) == len(owners)
        before = None
        for number in sorted(proofs):
            assert list(tool.verify(proofs[number], before)[1]) == [], number
            before = proofs[number]
        async with service.work.begin_platform() as session:
            head = await session.scalar(text("select last_hash from invoice_number_counters"))
        assert before is not None
        assert head == json.loads(before)["hash"]
