"""A year of months in which everything is corrected: documents end where the usage ends."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from app.kernel.money import USD, Money
from app.kernel.periods import calendar_month, plus_months
from app.rating.domain import Terms, Usage, charge, true_up
from app.usage.service.closing import UsageClosing
from tests.factories.billing import act
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner, grant_plan
from tests.support.long import LONG
from tests.support.service import Service, running
from tests.support.staying import staying_signed_in
from tools.verify_invoice import verify

CATALOG = """
name: odd
currency: usd
window: calendar_month
default_plan: free
metrics:
  calls: {unit: call, event: call}
  minutes: {unit: minute, event: minute}
  scans: {unit: scan, event: scan}
plans:
  - {key: free, name: Free, seats: 1, prices: [{amount: 0}]}
  - key: odd
    name: Odd
    seats: null
    prices: [{amount: 1000}]
    commitment: 12.345
    metered:
      - metric: calls
        price:
          model: graduated
          tiers:
            - {up_to: 10, unit_amount: 0.333}
            - {up_to: 30, unit_amount: 0.1115, flat_amount: 1}
            - {up_to: null, unit_amount: 0.05}
      - metric: minutes
        included: 5
        price: {model: package, amount: 1.99, size: 7}
      - metric: scans
        maximum_spend: 40
        price:
          model: volume
          tiers: [{up_to: 20, unit_amount: 0.755}, {up_to: null, unit_amount: 0.4}]
"""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS = 12
QUIET = 3
"""Months without usage afterwards, whose fees leave room for what is given back."""
FEE = 1_000


@pytest.fixture
async def service(fresh_url: URL, tmp_path: Path) -> AsyncIterator[Service]:
    path = tmp_path / "odd.yaml"
    path.write_text(CATALOG)
    async with running(fresh_url, ManualClock(BEGIN), catalog=str(path)) as running_service:
        yield running_service


class Year:
    """An organization that lives through it, and what it has used so far."""

    def __init__(
        self, service: Service, owner: Owner, operator: httpx.AsyncClient, seed: int
    ) -> None:
        self.service = service
        self.owner = owner
        self.operator = operator
        self.draw = random.Random(seed)
        self.stands: list[str] = []
        self.count = 0

    async def use(self, month: int, *, late: bool = False) -> None:
        """Some usage in *month*; *late* after its invoice was issued."""
        start = plus_months(BEGIN, month)
        for _ in range(self.draw.randint(1, 12)):
            self.count += 1
            days = self.draw.randint(24, 27) if late else self.draw.randint(0, 26)
            event = {
                "id": f"event-{self.count}",
                "type": self.draw.choice(["call", "minute", "scan"]),
                "quantity": self.draw.randint(1, 9),
                "occurred_at": (start + timedelta(days=days, hours=3)).isoformat(),
            }
            answer = await self.owner.client.post("/api/v1/usage/events", json=event)
            assert answer.status_code == 201, answer.text
            self.stands.append(str(event["id"]))

    async def take_back(self) -> None:
        """Void some events of any month so far."""
        for _ in range(self.draw.randint(0, 4)):
            if self.stands:
                name = self.stands.pop(self.draw.randrange(len(self.stands)))
                answer = await self.owner.client.post(
                    f"/api/v1/usage/events/{name}/void", json={"reason": "counted twice"}
                )
                assert answer.status_code == 200, answer.text

    async def correct(self) -> None:
        """A credit note of one of three kinds for a line of some issued invoice, or a void."""
        issued = [one for one in await self.invoices() if one["status"] in ("open", "paid")]
        lines = [
            (invoice, place)
            for invoice in issued
            for place, line in enumerate(invoice["lines"])
            if line["amount"] > 1 and line["kind"] != "fee"
        ]
        if not lines:
            return
        invoice, place = self.draw.choice(lines)
        part = self.draw.randint(1, invoice["lines"][place]["amount"] - 1)
        body = {
            "lines": [{"line": place, "amount": part}],
            "kind": self.draw.choice(["correction", "correction", "goodwill"]),
            "reason": "a mistake of ours",
            "settlement": "refund",
        }
        answer = await self.operator.post(
            f"/api/v1/admin/invoices/{invoice['id']}/credit-notes", json=body
        )
        assert answer.status_code in (201, 409, 422), answer.text

    async def start_again(self) -> None:
        """Void the last invoice and bill its month anew."""
        for invoice in await self.invoices():
            if invoice["status"] == "open" and not invoice["amount_paid"]:
                answer = await self.operator.post(f"/api/v1/admin/invoices/{invoice['id']}/void")
                if answer.status_code == 200:
                    asked = {
                        "organization_id": self.owner.id,
                        "period": invoice["period_start"][:7],
                    }
                    made = await self.operator.post("/api/v1/admin/invoices/generate", json=asked)
                    assert made.status_code == 201, made.text
                    await act(self.operator, made.json(), "finalize")
                return

    async def pay(self) -> None:
        for invoice in await self.invoices():
            if invoice["status"] == "open" and self.draw.random() < 0.5:
                await act(self.operator, invoice, "mark-paid")

    async def invoices(self) -> list[dict[str, Any]]:
        path = "/api/v1/billing/invoices"
        return list((await self.owner.client.get(path, params={"limit": 100})).json()["data"])


async def documents_say(service: Service, owner: Owner) -> int:
    """All that stands on issued documents, less corrections; goodwill is a present."""
    async with service.services[UnitOfWork].begin(owner.organization_id) as session:
        found = await session.execute(
            text("""
            select (select coalesce(sum(subtotal), 0) from invoices
                where organization_id = :owner and status in ('open', 'paid'))
            - (select coalesce(sum(n.amount), 0) from credit_note_lines n
                join credit_notes c on c.organization_id = n.organization_id
                    and c.id = n.credit_note_id
                join invoices i on i.organization_id = c.organization_id and i.id = c.invoice_id
                where n.organization_id = :owner and c.kind = 'correction'
                    and i.status in ('open', 'paid'))
            """),
            {"owner": owner.organization_id},
        )
        return int(found.scalar_one())


async def usage_says(service: Service, owner: Owner) -> int:
    """Every month's final usage, rated at once: what the year should have cost."""
    catalog = service.services[CatalogService].active
    plan = catalog.plan("odd")
    assert plan is not None
    assert plan.commitment is not None
    whole = 0
    for month in range(MONTHS + QUIET):
        start = plus_months(BEGIN, month)
        usage = await service.services[UsageClosing].figures(
            owner.organization_id, calendar_month(start)
        )
        spent: list[Decimal] = []
        for item in plan.metered:
            assert item.price is not None
            terms = Terms(item.price, item.included, item.minimum_spend, item.maximum_spend)
            amount = charge(terms, Usage(usage.quantity(item.metric))).amount
            spent.append(amount)
            whole += Money.from_major(amount).minor
        whole += Money.from_major(true_up(plan.commitment, spent, USD)).minor + FEE
    return whole


async def the_proofs_agree(year: Year) -> None:
    """Each document, void ones too, reckoned again from the year's events and the one before."""
    export = await year.owner.client.get("/api/v1/usage/events/export")
    before: dict[str, str] = {}
    for invoice in sorted(await year.invoices(), key=lambda one: str(one["number"])):
        path = f"/api/v1/billing/invoices/{invoice['id']}/proof"
        proof = (await year.owner.client.get(path)).text
        series = invoice["number"][:8]
        _, differences = verify(proof, before.get(series), export.text)
        assert list(differences) == [], (invoice["number"], year.count)
        before[series] = proof


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=LONG) for seed in (2, 3))])
async def test_a_years_documents_come_to_the_years_usage(service: Service, seed: int) -> None:
    owner = await an_owner(service)
    await grant_plan(service, owner.organization_id, "odd")
    operator = await staying_signed_in(service, await an_operator(service))
    await staying_signed_in(service, owner.client)
    year = Year(service, owner, operator, seed)
    run = service.services[InvoiceRun]
    for month in range(MONTHS):
        service.clock.set(plus_months(BEGIN, month) + timedelta(days=27))
        await year.use(month)
        # Some hours after the end: a draft; two days after: the invoice.
        for hours in (5, 49):
            service.clock.set(plus_months(BEGIN, month + 1) + timedelta(hours=hours))
            await run.close()
        service.clock.advance(timedelta(minutes=1))
        await year.use(month, late=True)
        await year.take_back()
        await year.correct()
        await year.pay()
        if year.draw.random() < 0.3:
            await year.start_again()
    for month in range(MONTHS, MONTHS + QUIET):
        service.clock.set(plus_months(BEGIN, month + 1) + timedelta(hours=49))
        await run.close()
    assert await documents_say(service, owner) == await usage_says(service, owner)
    await the_proofs_agree(year)
    issued = [one for one in await year.invoices() if one["status"] in ("open", "paid")]
    assert len(issued) == MONTHS + QUIET
    assert any(line["amount"] < 0 for one in issued for line in one["lines"])
