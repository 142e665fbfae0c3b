"""Statements add up: to what is owed, to the credit that is left, and from one to the next."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.doctor.domain import CheckState
from app.doctor.service import Doctor
from app.gateways.stripe.payments import StripeCharge, StripeDispute, StripeRefund
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.ids import new_id
from app.payments.domain import PaymentReport
from app.payments.service import PaymentMirror
from tests.conftest import START
from tests.factories.billing import act, generate
from tests.factories.invoices import a_paid_invoice, a_stripe_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.features.invoices.test_document import TextOf, pdf_text
from tests.support.long import EVERYTHING
from tests.support.service import Service

INVOICES = "/api/v1/billing/invoices"
STATEMENT = "/api/v1/billing/statement"
SEEDS = range(30) if EVERYTHING else range(2)
MONTHS = ("2026-07", "2026-08", "2026-09", "2026-10", "2026-11")


@dataclass
class History:
    """An organization to which all kinds of things happen."""

    service: Service
    owner: Owner
    operator: httpx.AsyncClient
    chance: random.Random
    ticket: int = 0
    disputes: dict[str, StripeDispute] = field(default_factory=dict)
    charges: dict[str, tuple[StripeCharge, str | None, list[StripeRefund]]] = field(
        default_factory=dict
    )

    async def live(self) -> None:
        """Whatever can happen does, in an order of its own, at moments of its own."""
        grant = {"organization_id": self.owner.id, "amount": 300_000, "type": "promotional"}
        answer = await self.operator.post("/api/v1/admin/credits/grants", json=grant)
        assert answer.status_code == 201, answer.text
        deeds: list[Callable[[], Any]] = [
            *(self._our_invoice(month) for month in MONTHS),
            *(lambda: self._stripes_invoice() for _ in range(4)),
            *(lambda: self._refund_at_stripe() for _ in range(3)),
            *(lambda: self._dispute() for _ in range(2)),
            lambda: self._charge(None, 1900),
        ]
        self.chance.shuffle(deeds)
        for deed in deeds:
            self.service.clock.advance(timedelta(seconds=self.chance.randrange(1, 2000)))
            await deed()

    def _our_invoice(self, month: str) -> Callable[[], Any]:
        async def happen() -> None:
            rate = self.chance.choice(["0", "0.07", "0.19"])
            invoice = await generate(self.operator, self.owner, month, tax_rate=rate)
            if self.chance.random() < 0.1:
                return
            invoice = await act(self.operator, invoice, "finalize")
            if invoice["status"] == "open" and self.chance.random() < 0.2:
                await act(self.operator, invoice, "void")
                return
            if invoice["status"] == "open" and self.chance.random() < 0.5:
                await self._credit(invoice)
            for share in (2, 1):
                if invoice["status"] == "open" and self.chance.random() < 0.8:
                    left = (await self._get(invoice))["amount_remaining"]
                    invoice = await act(
                        self.operator, invoice, "mark-paid", amount=max(left // share, 1)
                    )
            if invoice["status"] == "paid":
                for _ in range(self.chance.randrange(3)):
                    await self._credit(invoice)

        return happen

    async def _credit(self, invoice: dict[str, Any]) -> None:
        note = {
            "lines": [{"line": 0, "amount": self.chance.randrange(1, 90_000)}],
            "kind": "goodwill",
            "reason": "By chance",
            "settlement": self.chance.choice(["credit", "refund"]),
        }
        if note["settlement"] == "refund" and self.chance.random() < 0.5:
            note["refund_reference"] = "SEPA"
        answer = await self.operator.post(
            f"/api/v1/admin/invoices/{invoice['id']}/credit-notes", json=note
        )
        assert answer.status_code in (201, 409), answer.text

    async def _stripes_invoice(self) -> None:
        """Of Stripe's: paid, open, paid in part, void, written off; with a balance at times."""
        total = self.chance.randrange(1, 50_000)
        balance = self.chance.choice([0, 0, -self.chance.randrange(total)])
        status = self.chance.choice(["paid", "paid", "open", "void", "uncollectible"])
        due = total + balance
        paid = due if status == "paid" else self.chance.choice([0, due // 3])
        if status == "void":
            paid = 0
        now = self.service.clock.now()
        told = a_stripe_invoice(
            status=status,
            amount=total,
            amount_due=due,
            amount_paid=paid,
            amount_remaining=due - paid,
            created_at=now,
            finalized_at=now,
            paid_at=now if status == "paid" else None,
            voided_at=now + timedelta(minutes=1) if status == "void" else None,
        )
        owner = self.owner.organization_id
        async with self.service.work.begin(owner):
            await self.service.services[InvoiceMirror].record(owner, told)
        if paid and self.chance.random() < 0.8:
            await self._charge(told.id, paid)

    async def _charge(self, stripe_invoice_id: str | None, amount: int) -> None:
        charge = StripeCharge(
            id=f"ch_{new_id().hex}",
            customer_id="cus_1",
            payment_intent_id=None,
            amount=amount,
            amount_refunded=0,
            currency="usd",
            status="succeeded",
            is_disputed=False,
            description=None,
            failure_code=None,
            failure_message=None,
            created_at=self.service.clock.now(),
            livemode=False,
        )
        self.charges[charge.id] = (charge, stripe_invoice_id, [])
        await self._report(charge.id)

    async def _refund_at_stripe(self) -> None:
        if not self.charges:
            return
        charge, _, refunds = self.charges[self.chance.choice(sorted(self.charges))]
        left = charge.amount - sum(one.amount for one in refunds)
        if not left:
            return
        refunds.append(
            StripeRefund(
                id=f"re_{new_id().hex}",
                charge_id=charge.id,
                amount=self.chance.randint(1, left),
                currency="usd",
                status=self.chance.choice(["succeeded", "pending", "failed"]),
                reason=None,
                failure_reason=None,
                created_at=self.service.clock.now(),
            )
        )
        await self._report(charge.id)

    async def _dispute(self) -> None:
        """The bank asks, takes the money, and at times gives it back."""
        undisputed = sorted(set(self.charges) - set(self.disputes))
        if not undisputed:
            return
        charge, _, _ = self.charges[self.chance.choice(undisputed)]
        now = self.service.clock.now()
        status = self.chance.choice(["warning_closed", "needs_response", "lost", "won"])
        self.disputes[charge.id] = StripeDispute(
            id=f"dp_{new_id().hex}",
            charge_id=charge.id,
            amount=charge.amount,
            currency="usd",
            reason="fraudulent",
            status=status,
            is_charge_refundable=False,
            respond_by=None,
            created_at=now,
            withdrawn_at=None if status == "warning_closed" else now,
            reinstated_at=now + timedelta(minutes=1) if status == "won" else None,
        )
        await self._report(charge.id)

    async def _report(self, charge_id: str) -> None:
        charge, stripe_invoice_id, refunds = self.charges[charge_id]
        self.ticket += 1
        disputes = [one for one in (self.disputes.get(charge_id),) if one is not None]
        report = PaymentReport(
            self.ticket, charge, tuple(refunds), tuple(disputes), stripe_invoice_id
        )
        await self.service.services[PaymentMirror].take(self.owner.organization_id, report)

    async def _get(self, invoice: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.owner.client.get(f"{INVOICES}/{invoice['id']}")).json())

    async def owed(self) -> int:
        """As documents and the doctor have it: what is left to pay, less refunds to be sent, and
        what banks took back."""
        invoices = (await self.owner.client.get(INVOICES, params={"limit": 100})).json()["data"]
        notes = [note for invoice in invoices for note in invoice["credit_notes"]]
        disputed = sum(
            one.amount for one in self.disputes.values() if one.status in ("needs_response", "lost")
        )
        return (
            disputed
            + sum(
                invoice["amount_remaining"] for invoice in invoices if invoice["status"] != "draft"
            )
            - sum(
                note["total"]
                for note in notes
                if note["refund"] is not None and note["refund"]["status"] != "made"
            )
        )

    async def statement(self, start: datetime, end: datetime) -> dict[str, Any]:
        answer = await self.owner.client.get(
            STATEMENT, params={"from": start.isoformat(), "to": end.isoformat()}
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()["accounts"]
        if not found:
            return {"account": EMPTY, "prepaid_credit": EMPTY}
        (account,) = found
        assert account["currency"] == "usd"
        return dict(account)


EMPTY: dict[str, Any] = {"opening_balance": 0, "closing_balance": 0, "lines": []}
BOOKS = ("account", "prepaid_credit")


@pytest.mark.parametrize("seed", SEEDS)
async def test_sums_add_up_whatever_happened(service: Service, seed: int) -> None:
    owner = await an_owner(service, plan="enterprise_plus")
    history = History(service, owner, await an_operator(service), random.Random(seed))
    await history.live()
    end = service.clock.now() + timedelta(hours=1)
    whole = await history.statement(datetime(2026, 1, 1, tzinfo=UTC), end)
    for book in BOOKS:
        assert whole[book]["opening_balance"] == 0
        balance = 0
        for line in whole[book]["lines"]:
            balance += line["amount"]
            assert line["balance"] == balance
        assert whole[book]["closing_balance"] == balance
    credit = (await owner.client.get("/api/v1/billing/credits")).json()["balance"]
    assert whole["prepaid_credit"]["closing_balance"] == credit
    assert whole["account"]["closing_balance"] == await history.owed()

    # Cut anywhere, the parts are the whole.
    instants = sorted({line["at"] for book in BOOKS for line in whole[book]["lines"]})
    for instant in history.chance.sample(instants, 3):
        cut = datetime.fromisoformat(instant)
        before = await history.statement(datetime(2026, 1, 1, tzinfo=UTC), cut)
        after = await history.statement(cut, end)
        for book in BOOKS:
            assert before[book]["closing_balance"] == after[book]["opening_balance"]
            assert before[book]["lines"] + after[book]["lines"] == whole[book]["lines"]
    report = await service.services[Doctor].examine(owner.organization_id)
    broken = [one for one in report.findings if one.state is not CheckState.OK]
    assert broken == []


@pytest.fixture
async def operator(service: Service) -> httpx.AsyncClient:
    return await an_operator(service)


async def test_one_of_everything_as_data_page_table_and_pdf(
    service: Service, operator: httpx.AsyncClient
) -> None:
    owner = await an_owner(service, plan="enterprise_plus", organization_name="=Difference Ltd")
    issued = await act(operator, await generate(operator, owner, "2026-11"), "finalize")
    await act(operator, issued, "mark-paid", amount=100_000)
    await act(operator, issued, "mark-paid")
    note = await act(
        operator,
        issued,
        "credit-notes",
        lines=[{"line": 0, "amount": 2_500}],
        kind="goodwill",
        reason="Sorry",
    )
    period = {"from": "2026-11-01", "to": "2026-12-01"}
    answer = (await owner.client.get(STATEMENT, params=period)).json()
    assert (answer["period_start"], answer["period_end"]) == (
        "2026-11-01T00:00:00Z",
        "2026-12-01T00:00:00Z",
    )
    (account,) = answer["accounts"]
    assert [
        (line["kind"], line["reference"], line["amount"]) for line in account["account"]["lines"]
    ] == [
        ("invoice", issued["number"], 500_000),
        ("payment", issued["number"], -100_000),
        ("payment", issued["number"], -400_000),
        ("credit_note", note["number"], -2_500),
        ("to_prepaid_credit", note["number"], 2_500),
    ]
    assert account["account"]["closing_balance"] == 0
    assert account["prepaid_credit"]["closing_balance"] == 2_500

    async def printed(form: str) -> httpx.Response:
        return await owner.client.get(STATEMENT, params={**period, "format": form})

    pdf, page, table = [await printed(form) for form in ("pdf", "html", "csv")]
    assert "statement-2026-11-01-2026-12-01.pdf" in pdf.headers["content-disposition"]
    for text in (TextOf(page.text).text, pdf_text(pdf.content)):
        assert "Statement of account" in text
        assert "=Difference Ltd" in text
        assert f"Invoice {issued['number']} 21 Nov 2026 5,000.00 5,000.00" in text
        assert f"Payment {issued['number']} 21 Nov 2026 -1,000.00 4,000.00" in text
        assert "Closing balance USD 0.00" in text
        assert "Closing balance USD 25.00" in text
    rows = table.text.splitlines()
    assert rows[0].startswith("book,currency,at,kind")
    assert f",invoice,{issued['number']},{issued['id']},5000.00,5000.00" in rows[2]
    assert rows[-1].endswith(",closing,,,,25.00")

    theirs = f"/api/v1/admin/organizations/{owner.id}/statement"
    assert (await operator.get(theirs, params=period)).json() == answer
    assert (await owner.client.get(theirs)).status_code == 403


async def test_each_sees_its_own_and_nothing_at_all_is_a_statement_too(
    service: Service, operator: httpx.AsyncClient
) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    await a_paid_invoice(service, owner.organization_id)
    nothing = (await stranger.client.get(STATEMENT)).json()
    assert nothing["accounts"] == []
    assert nothing["period_start"] == "2026-11-01T00:00:00Z"
    assert (await stranger.client.get(STATEMENT, params={"format": "pdf"})).status_code == 200
    nobody = owner.id[:-1] + ("0" if owner.id[-1] != "0" else "1")
    missing = await operator.get(f"/api/v1/admin/organizations/{nobody}/statement")
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"from": "2026-12-01", "to": "2026-11-01"}, "period_is_backwards"),
        ({"from": "yesterday"}, "validation_failed"),
        ({"from": "2026-11-01T00:00:00"}, "validation_failed"),
    ],
)
async def test_a_period_is_a_period(service: Service, given: dict[str, str], code: str) -> None:
    owner = await an_owner(service)
    refused = await owner.client.get(STATEMENT, params=given)
    assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_two_currencies_are_two_accounts(service: Service) -> None:
    owner = await an_owner(service)
    async with service.work.begin(owner.organization_id):
        for currency in ("usd", "eur"):
            await service.services[InvoiceMirror].record(
                owner.organization_id,
                a_stripe_invoice(currency=currency, created_at=START, status="open"),
            )
    params = {"from": "2026-01-01", "to": "2027-01-01"}
    found = (await owner.client.get(STATEMENT, params=params)).json()["accounts"]
    assert [(one["currency"], one["account"]["closing_balance"]) for one in found] == [
        ("eur", 29_900),
        ("usd", 29_900),
    ]
