"""What is used and held under plans given by hand is billed once: by Stripe, or by us."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.schemas import rfc3339
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import Clock
from app.metered.domain import FEED
from app.metered.repository import BatchRepository, EnrolmentRepository
from app.metered.service import Enrolments, UsageCollector
from app.subscriptions.invariants import INVARIANTS
from app.usage.repository.feeds import FeedRepository
from app.usage.service.feeds import UsageFeeds
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import checkout, subscription
from tests.features.subscriptions.conftest import Store
from tests.support.long import EVERYTHING
from tests.support.staying import staying_signed_in
from tools import verify_invoice

PLUS = "enterprise_plus"
LIVES = 20 if EVERYTHING else 1
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass
class Life:
    """An organization, what it used, and under which plan that was."""

    store: Store
    owner: Owner
    operator: httpx.AsyncClient
    used: list[datetime] = field(default_factory=list)
    held: list[tuple[datetime, str]] = field(default_factory=list)

    async def give(self, plan: str = PLUS, days: float = 400, **more: Any) -> dict[str, Any]:
        ends = rfc3339(self.store.clock.now() + timedelta(days=days))
        answer = await self.operator.post(
            self._path, json={"plan": plan, "reason": "a pilot", "ends_at": ends, **more}
        )
        assert answer.status_code == 201, answer.text
        await self.note()
        return dict(answer.json())

    async def withdraw(self) -> None:
        answer = await self.operator.post(f"{self._path}/withdraw", json={"reason": "over"})
        assert answer.status_code in (204, 404), answer.text
        await self.note()

    async def buy(self, plan: str = PLUS) -> None:
        page = await checkout(self.owner, plan)
        bought = self.store.stripe.pay(page["id"])
        await self.store.tell("customer.subscription.created", bought.id)
        for one in list(self.store.stripe.invoices.values()):
            if one.subscription_id == bought.id:
                await self.store.tell("invoice.paid", one.id)
        await self.note()

    async def cancel(self) -> None:
        now = self.store.clock.now()
        for one in list(self.store.stripe.subscriptions.values()):
            if one.metadata["organization_id"] == self.owner.id and one.status != "canceled":
                self.store.stripe.subscriptions[one.id] = replace(
                    one, status="canceled", ended_at=now, canceled_at=now
                )
                await self.store.tell("customer.subscription.deleted", one.id)
        await self.note()

    async def use(self, at: datetime | None = None) -> None:
        """A dollar's worth of tokens."""
        at = at or self.store.clock.now()
        await spend(self.owner, f"use-{len(self.used)}", at, 99)
        self.used.append(at)

    @property
    def metered(self) -> int:
        """How much of the use was under a plan that meters it."""
        tiers = [
            next((plan for since, plan in reversed(self.held) if since <= at), "free")
            for at in self.used
        ]
        return tiers.count(PLUS)

    async def pass_(self, **by: float) -> None:
        """Time passes, and what falls due in it happens when it does."""
        until = self.store.clock.now() + timedelta(**by)
        while self.store.clock.now() < until:
            self.store.clock.set(min(until, self.store.clock.now() + timedelta(days=1)))
            await self.store.service.drain()
            await self.note()

    async def note(self) -> None:
        [row] = await self.store.rows(
            "select plan from organizations where id = :id", id=self.owner.organization_id
        )
        tier = row["plan"]
        if not self.held or self.held[-1][1] != tier:
            self.held.append((self.store.clock.now(), tier))

    async def close(self) -> None:
        await self.store.service.services[InvoiceRun].close()

    async def invoices(self) -> list[dict[str, Any]]:
        listed = (await self.owner.client.get("/api/v1/billing/invoices?limit=100")).json()
        return [one for one in listed["data"] if one["origin"] == "own"]

    async def upcoming(self) -> dict[str, Any]:
        answer = await self.owner.client.get("/api/v1/billing/invoices/upcoming")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["own"])

    @property
    def _path(self) -> str:
        return f"/api/v1/admin/organizations/{self.owner.id}/plan"


@pytest.fixture
async def life(store: Store) -> Life:
    return await a_life(store)


async def a_life(store: Store) -> Life:
    owner = await an_owner(store.service)
    await staying_signed_in(store.service, owner.client)
    operator = await staying_signed_in(store.service, await an_operator(store.service))
    # Stripe, which this test keeps in memory, collects nothing.
    agreed = await operator.put(
        f"/api/v1/admin/organizations/{owner.id}/billing-agreement", json={"collection": "transfer"}
    )
    assert agreed.status_code == 200, agreed.text
    return Life(store, owner, operator)


async def wrong_with(life: Life, invoice: dict[str, Any]) -> list[str]:
    """What somebody finds who reckons the invoice up again from its proof."""
    proof = await life.owner.client.get(f"/api/v1/billing/invoices/{invoice['id']}/proof")
    return list(verify_invoice.verify(proof.text)[1])


def lines_of(invoice: dict[str, Any]) -> list[tuple[str, int]]:
    return [(line["kind"], line["amount"]) for line in invoice["lines"]]


# The fee ---------------------------------------------------------------------------------------


async def test_a_given_plans_fee_is_for_the_seconds_for_which_it_was_held(life: Life) -> None:
    given = await life.give(days=5)  # 21 November 09:00 to 26 November 09:00
    assert (given["billing"], given["usage_billing"]) == ("invoice", "invoice")
    await life.use()
    await life.pass_(days=12)
    assert (await subscription(life.owner))["tier"] == "free"
    await life.close()
    [invoice] = await life.invoices()
    fee, usage = invoice["lines"]
    assert (fee["kind"], fee["amount"], fee["proration"]) == ("fee", 83_333, True)  # 5 of 30 days
    assert fee["description"] == (
        "Enterprise+ plan, 2026-11-21 09:00 to 2026-11-26 09:00 UTC: "
        "432,000 of 2,592,000 seconds at 5000 a month"
    )
    assert (fee["quantity"], fee["unit_price"]) == (1, "833.33")
    assert (fee["period_start"], fee["period_end"]) == (
        "2026-11-21T09:00:00Z",
        "2026-11-26T09:00:00Z",
    )
    assert (usage["kind"], usage["amount"]) == ("usage", 99)
    assert invoice["plan"] == PLUS
    assert await wrong_with(life, invoice) == []


async def test_one_that_is_withdrawn_costs_what_it_was_held_for(life: Life) -> None:
    await life.give(days=400)
    await life.pass_(days=1)
    await life.withdraw()
    await life.pass_(days=11)
    await life.close()
    [invoice] = await life.invoices()
    assert lines_of(invoice) == [("fee", 16_667)]


async def test_what_is_given_free_asks_for_no_fee_and_its_use_is_as_the_operator_says(
    store: Store, life: Life
) -> None:
    await life.give(billing="free")
    await life.use()
    other = await a_life(store)
    await other.give(billing="free", usage_billing="invoice")
    await other.use()
    await life.pass_(days=12)
    await life.close()
    assert await life.invoices() == []
    [invoice] = await other.invoices()
    assert lines_of(invoice) == [("usage", 99)]


async def test_above_a_subscription_only_the_use_is_ours(life: Life) -> None:
    await life.buy("starter")
    await life.give(days=5)
    await life.use()
    await life.pass_(days=6)
    await life.use()
    await life.cancel()
    await life.pass_(days=6)
    await life.close()
    invoices = await life.invoices()
    assert [line for one in invoices for line in lines_of(one)] == [("usage", 99)]


async def test_giving_again_in_mid_month_is_two_stretches(life: Life) -> None:
    await life.give("enterprise")
    await life.pass_(days=3)
    await life.give(PLUS)
    await life.pass_(days=9)
    await life.close()
    [invoice] = await life.invoices()
    days = 30
    assert lines_of(invoice) == [
        ("fee", round(99_900 * 3 / days)),
        ("fee", round(500_000 * (6 + 15 / 24) / days)),
    ]
    assert await wrong_with(life, invoice) == []


async def test_an_issued_month_is_corrected_when_the_plan_is_taken_back(life: Life) -> None:
    await life.give()
    draft = await generate(life.operator, life.owner, "2026-11")
    issued = await act(life.operator, draft, "finalize")
    assert lines_of(issued) == [("fee", 160_417)]  # to the end of the month
    await life.withdraw()
    await life.give(days=40)
    await life.pass_(days=1)
    await life.withdraw()
    await life.pass_(days=35)
    await life.close()
    invoices = await life.invoices()
    billed = sum(line["amount"] for one in invoices for line in one["lines"])
    # Nothing is asked for in December, so what was billed too much waits for an invoice.
    assert billed == 160_417


async def test_asked_for_at_cost_a_plan_is_billed_alike_whether_given_or_bought(
    store: Store, life: Life
) -> None:
    """A plan without metered prices says nothing of tokens; what is given free stays free."""
    await life.give("professional", billing="free", usage_billing="invoice")
    bought, free = await a_life(store), await a_life(store)
    await bought.buy("professional")
    await free.give("professional", billing="free")
    for each, billed in ((life, [("usage", 99)]), (bought, [("usage", 99)]), (free, [])):
        await each.use()
        draft = await generate(each.operator, each.owner, "2026-11")
        assert lines_of(draft) == billed
    issued = await act(
        life.operator, await generate(life.operator, life.owner, "2026-11"), "finalize"
    )
    assert await wrong_with(life, issued) == []


# What comes next -------------------------------------------------------------------------------


def as_generated(invoice: dict[str, Any]) -> dict[str, Any]:
    keys = ("kind", "description", "quantity", "unit_price", "amount", "period_start", "period_end")
    return {
        "lines": [{key: line[key] for key in keys} for line in invoice["lines"]],
        **{key: invoice[key] for key in ("period_start", "period_end", "tax", "total", "discount")},
    }


async def test_what_is_upcoming_is_what_generate_drafts_at_that_instant(life: Life) -> None:
    await life.give(days=20)
    await life.use()
    shown = await life.upcoming()
    draft = await generate(life.operator, life.owner, "2026-11")
    assert as_generated(shown) == as_generated(draft)
    assert len(shown["lines"]) == 2

    # A draft's own terms count, as they do when it is generated again.
    draft = await generate(life.operator, life.owner, "2026-11", tax_rate="0.19")
    assert as_generated(await life.upcoming()) == as_generated(draft)
    assert draft["tax"]

    await act(life.operator, draft, "finalize")
    await life.use()
    after = await life.upcoming()
    assert after["period_start"] == "2026-12-01T00:00:00Z"
    december = await generate(life.operator, life.owner, "2026-12")
    assert as_generated(after) == as_generated(december)
    assert [kind for kind, _ in lines_of(december)] == ["fee", "adjustment"]


async def test_after_a_subscription_the_rest_of_the_month_is_upcoming(life: Life) -> None:
    await life.buy("starter")
    await life.pass_(days=2)
    await life.cancel()
    await life.pass_(days=1)
    await life.give()
    await life.use()
    shown = await life.upcoming()
    draft = await generate(life.operator, life.owner, "2026-11")
    assert as_generated(shown) == as_generated(draft)
    assert shown["period_start"] == "2026-11-23T09:00:00Z"


# Exactly one -----------------------------------------------------------------------------------


@pytest.fixture
async def collector(store: Store) -> AsyncIterator[UsageCollector]:
    """What tells Stripe, as it is where a key is configured; nothing is sent."""
    services = store.service.services
    work, feeds = services[UnitOfWork], services[UsageFeeds]
    made = UsageCollector(
        work,
        feeds,
        BatchRepository(work),
        EnrolmentRepository(work),
        services[Enrolments],
        services[Clock],  # type: ignore[type-abstract]
        is_configured=True,
    )
    await made.collect()
    yield made
    async with work.begin_platform():
        await FeedRepository(work).end(FEED)


async def billed(life: Life) -> tuple[int, int]:
    """Events that Stripe was told of, and those that invoices of ours ask for."""
    [row] = await life.store.rows(
        "select coalesce(sum(quantity), 0) as tokens from metered_batches"
        " where organization_id = :id and metric = 'tokens_input'",
        id=life.owner.organization_id,
    )
    ours = sum(
        line["amount"]
        for invoice in await life.invoices()
        if invoice["status"] in ("open", "paid")
        for line in invoice["lines"]
        if line["kind"] in ("usage", "adjustment")
    )
    assert row["tokens"] % 330_000 == 0
    assert ours % 99 == 0
    return int(row["tokens"]) // 330_000, ours // 99


async def test_use_under_a_given_plan_is_ours_and_under_a_bought_one_stripes(
    life: Life, collector: UsageCollector
) -> None:
    await life.give()
    await life.use()
    await life.pass_(days=1)
    await life.buy()
    await life.use()
    await life.pass_(days=1)
    await life.cancel()
    await life.use()
    # Late: it happened on the first day, under the given plan, and on the second, under the other.
    await life.use(life.store.clock.now() - timedelta(days=1, hours=12))
    await life.use(life.store.clock.now() - timedelta(hours=12))
    await collector.collect()
    await life.pass_(days=12)
    await life.close()
    assert await billed(life) == (2, 3)
    await life.use(life.store.clock.now() - timedelta(days=12, hours=12))
    await collector.collect()
    await life.pass_(days=31)
    await life.close()
    assert await billed(life) == (3, 3)


@pytest.mark.timeout(600)
async def test_in_random_lives_every_metered_unit_is_billed_exactly_once(
    store: Store, collector: UsageCollector
) -> None:
    for _ in range(LIVES):
        seed = random.randrange(10**6)
        chance = random.Random(seed)
        life = await a_life(store)
        is_bought = False
        for _ in range(chance.randint(6, 12)):
            step = chance.choice(("give", "withdraw", "buy", "cancel", "pass", "use", "late"))
            if step == "give":
                await life.give(chance.choice((PLUS, PLUS, "starter")), chance.choice((1.5, 9, 90)))
            elif step == "withdraw":
                await life.withdraw()
            elif step == "buy" and not is_bought:
                await life.buy(chance.choice((PLUS, "starter")))
                is_bought = True
            elif step == "cancel":
                await life.cancel()
                is_bought = False
            elif step == "late" and life.used:
                await life.use(life.store.clock.now() - timedelta(hours=chance.randint(1, 200)))
            elif step == "pass":
                await life.pass_(hours=chance.randint(1, 400))
                await life.close()
            await life.use()
            if chance.random() < 0.5:
                await collector.collect()
            # What was told up to an instant was told under what counted up to it.
            store.clock.advance(timedelta(seconds=1))
        await life.cancel()
        store.clock.advance(timedelta(seconds=1))
        await life.withdraw()
        assert all(one[0] != two[0] for one, two in pairwise(life.held)), "one instant, one plan"
        await collector.collect()
        for _ in range(3):
            await life.pass_(days=35)
            await life.close()
        at_stripe, ours = await billed(life)
        assert at_stripe + ours == life.metered, (seed, life.held, life.used)
        async with store.service.work.begin_platform() as session:
            values = {"organization_id": life.owner.organization_id, "now": store.clock.now()}
            for name, (_, statement) in INVARIANTS.items():
                assert not (await session.execute(text(statement), values)).all(), (seed, name)
        store.clock.set(datetime(2026, 11, 21, 9, tzinfo=UTC))
