"""Calls to models that are paid from credit: held, settled, and never beyond what there is."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import URL, text

from app.audit.service import AuditLog
from app.credits.domain import Bound, Draw, Used, spare, undraw, whole_cents
from app.credits.repository import CreditRepository
from app.credits.service.lapsing import Lapsing
from app.credits.service.ledger import CreditLedger
from app.credits.service.using import Using
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId
from app.kernel.money import Money
from app.kernel.pages import PageRequest
from app.kernel.periods import plus_months
from app.organizations.service import OrganizationService
from app.usage.repository.prepaid import PrepaidRepository
from app.usage.service.prepaid import PrepaidUse
from app.usage.service.reservations import Reservations
from tests.factories.billing import act, generate
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner, grant_plan
from tests.features.credits.test_credits import broken, give, ledger_of
from tests.features.usage.books import books
from tests.features.usage.test_budget_holds import a_limit
from tests.features.usage.test_commits import commit, held
from tests.features.usage.test_reservations import RESERVATIONS, reserve
from tests.support import recount
from tests.support.long import EVERYTHING
from tests.support.service import Service, running
from tools import verify_invoice

EVENTS = "/api/v1/usage/events"
A_CENT = 4_000
"""So many tokens into gpt-4o cost a cent."""


async def draws(service: Service, owner: Owner, *, on_credit: bool = True) -> None:
    """As a plan would that says so; the job that follows it runs at once."""
    organizations = service.services[OrganizationService]
    granted = await organizations.entitlements(owner.organization_id)
    changed = replace(granted, draws_on_credit=on_credit)
    await organizations.apply_entitlements(owner.organization_id, changed)
    await follow(service, owner)


async def follow(service: Service, owner: Owner) -> None:
    await service.services[Using].follow(owner.organization_id, service.clock.now())


async def a_prepaid(service: Service, cents: int = 0, **grant: Any) -> Owner:
    """An owner whose calls are paid from credit, and that much of it."""
    owner = await an_owner(service, "enterprise")
    await draws(service, owner)
    if cents:
        await give(service, owner, cents, **grant)
    return owner


async def call(
    owner: Owner, key: str, tokens: int, *, enforce: bool = False, **fields: Any
) -> httpx.Response:
    event = {
        "id": key, "type": "tokens", "provider": "openai", "model": "gpt-4o", "tokens_in": tokens,
        **fields,
    }  # fmt: skip
    return await owner.client.post(EVENTS, json=event, params={"enforce": enforce})


async def credit(owner: Owner) -> dict[str, Any]:
    answer = await owner.client.get("/api/v1/billing/credits")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    return {name: shown[name] for name in ("balance", "available", "unsettled_usd", "held_usd")}


async def settle(service: Service, owner: Owner) -> None:
    await ledger_of(service).bring_up(owner.organization_id)


async def ledger(service: Service, owner: Owner) -> list[tuple[str, int]]:
    page = await ledger_of(service).transactions(owner.organization_id, PageRequest(100))
    return [(entry.kind.value, entry.amount) for entry in reversed(page.items)]


async def limit(service: Service, owner: Owner) -> dict[str, Any]:
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.execute(
            text(
                "select l.hard_usd, l.settled_usd, s.posted, s.held from spend_limits l"
                " join spend s on s.limit_id = l.id and s.organization_id = l.organization_id"
                " where l.organization_id = :us and l.scope = 'credit'"
            ),
            {"us": owner.organization_id},
        )
        return dict(rows.mappings().one())


async def agrees(service: Service, owner: Owner) -> None:
    """Nothing contradicts anything else, in credit, usage or reservations."""
    assert await broken(service, owner.organization_id) == []
    assert await recount.broken(service, owner.organization_id) == {}
    assert await books(service, owner) == []


async def test_a_call_is_held_refused_committed_and_settled(service: Service) -> None:
    owner = await a_prepaid(service, 100)
    granted = await reserve(owner, estimated_cost_usd="0.6", debate_id="d")
    assert granted.status_code == 201, granted.text
    assert granted.json()["held"] == [{"kind": "credit", "amount_usd": "0.6"}]
    refused = await reserve(owner, estimated_cost_usd="0.5")
    body = refused.json()
    assert (refused.status_code, body["code"]) == (402, "insufficient_credits")
    shown = [body[name] for name in ("limit", "used", "held", "remaining", "requested")]
    assert shown == ["1", "0", "0.6", "0.4", "0.5"]
    assert body["upgrade_to"] == "enterprise_plus"
    assert await credit(owner) == {
        "balance": 100, "available": 40, "unsettled_usd": "0", "held_usd": "0.6",
    }  # fmt: skip
    done = await commit(
        owner, granted.json()["id"], id="e", type="tokens",
        provider="openai", model="gpt-4o", tokens_in=25 * A_CENT + 2_000,
    )  # fmt: skip
    assert done.status_code == 200, done.text
    assert await credit(owner) == {
        "balance": 100, "available": 74, "unsettled_usd": "0.255", "held_usd": "0",
    }  # fmt: skip
    before = await limit(service, owner)
    await settle(service, owner)
    await settle(service, owner)
    assert await ledger(service, owner) == [("grant", 100), ("deduction", -25)]
    assert await credit(owner) == {
        "balance": 75, "available": 74, "unsettled_usd": "0.005", "held_usd": "0",
    }  # fmt: skip
    after = await limit(service, owner)
    assert after["hard_usd"] == before["hard_usd"] == 1, "settling moves nothing"
    assert (after["settled_usd"], after["posted"]) == (Decimal("0.25"), Decimal("0.255"))
    assert (await reserve(owner, estimated_cost_usd="0.745")).status_code == 201
    assert (await reserve(owner, estimated_cost_usd="0.000001")).status_code == 402
    await agrees(service, owner)


async def test_what_is_left_of_a_cent_is_never_lost(service: Service) -> None:
    owner = await a_prepaid(service, 100)
    for number in range(7):
        assert (await call(owner, f"e{number}", 1_500)).status_code == 201  # 0.00375
        await settle(service, owner)
    assert (await limit(service, owner))["posted"] == Decimal("0.02625")
    assert await ledger(service, owner) == [("grant", 100), ("deduction", -1), ("deduction", -1)]
    assert (await credit(owner))["unsettled_usd"] == "0.00625"
    await agrees(service, owner)


async def test_the_last_cents_go_to_as_many_as_fit(service: Service) -> None:
    owner = await a_prepaid(service, 100)
    answers = await asyncio.gather(*(reserve(owner, estimated_cost_usd="0.1") for _ in range(40)))
    assert Counter(answer.status_code for answer in answers) == {201: 10, 402: 30}
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 402} == {
        "insufficient_credits"
    }
    await asyncio.gather(*(owner.client.post(f"{RESERVATIONS}/{one}/release") for one in ids))
    assert (await credit(owner))["available"] == 100
    short = await reserve(owner, estimated_cost_usd="1", ttl_seconds=60)
    assert short.status_code == 201
    service.clock.advance(minutes=2)
    await service.services[Reservations].expire()
    assert (await credit(owner))["available"] == 100
    await agrees(service, owner)


async def test_enforced_events_stop_at_the_cent_and_others_are_owed(service: Service) -> None:
    owner = await a_prepaid(service, 10)
    calls = [call(owner, f"e{number}", A_CENT, enforce=True) for number in range(30)]
    answers = await asyncio.gather(*calls)
    assert Counter(answer.status_code for answer in answers) == {201: 10, 402: 20}
    refused = next(answer.json() for answer in answers if answer.status_code == 402)
    assert (refused["code"], refused["limit"]) == ("insufficient_credits", "0.1")
    assert (await call(owner, "anyway", 5 * A_CENT)).status_code == 201, "it has happened"
    await settle(service, owner)
    assert await credit(owner) == {
        "balance": 0, "available": 0, "unsettled_usd": "0.05", "held_usd": "0",
    }  # fmt: skip
    assert await ledger(service, owner) == [("grant", 10), ("deduction", -10)]
    await give(service, owner, 4)
    assert (await credit(owner))["available"] == 0
    assert (await reserve(owner, estimated_cost_usd="0.001")).status_code == 402
    await give(service, owner, 4)
    # What was owed went first; the same unit that gave the credit has taken it.
    assert await ledger(service, owner) == [
        ("grant", 10), ("deduction", -10), ("grant", 4), ("deduction", -4),
        ("grant", 4), ("deduction", -1),
    ]  # fmt: skip
    assert (await credit(owner))["available"] == 3
    assert (await reserve(owner, estimated_cost_usd="0.03")).status_code == 201
    await agrees(service, owner)


async def test_it_takes_no_more_statements_than_without(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetchrow = asyncpg.Connection.fetchrow

    async def note(connection: asyncpg.Connection, query: str, *given: Any, **how: Any) -> Any:
        asked.append(query.partition("(")[0].rpartition(" ")[2])
        return await fetchrow(connection, query, *given, **how)

    monkeypatch.setattr(asyncpg.Connection, "fetchrow", note)

    async def statements(owner: Owner) -> list[str]:
        await reserve(owner, estimated_cost_usd="0.01")  # the first reads the plan
        asked.clear()
        kept = await held(owner, estimated_cost_usd="0.01")
        await commit(owner, kept, id="c", type="tokens", tokens_in=1)
        return list(asked)

    other = await statements(await an_owner(service, "enterprise"))
    prepaid = await statements(await a_prepaid(service, 100))
    assert prepaid == other == ["usage_reserve", "usage_settle_lock"]


async def test_budgets_and_the_plan_say_no_before_credit_does(service: Service) -> None:
    owner = await a_prepaid(service, 5)
    limited = await an_owner(service)  # a free plan has ten debates
    await draws(service, limited)
    both = await reserve(limited, metric="debates", quantity=11, estimated_cost_usd="1")
    assert both.json()["code"] == "quota_exceeded"
    poor = await reserve(limited, metric="debates", quantity=1, estimated_cost_usd="1")
    assert poor.json()["code"] == "insufficient_credits"
    assert (await limit(service, limited))["held"] == 0
    await a_limit(service, owner, "0.02")
    budget = await reserve(owner, estimated_cost_usd="0.06")
    assert budget.json()["code"] == "budget_exceeded"
    event = await call(owner, "e", 6 * A_CENT, enforce=True)
    assert event.json()["code"] == "budget_exceeded"
    assert (await reserve(owner, estimated_cost_usd="0.01")).status_code == 201


async def test_reservations_and_deductions_share_what_there_is(service: Service) -> None:
    owner = await a_prepaid(service, 500)
    ledger_ = ledger_of(service)
    taking = [ledger_.deduct(owner.organization_id, Money(100), actor="system") for _ in range(10)]
    holding = [reserve(owner, estimated_cost_usd="1") for _ in range(10)]
    deductions, answers = await asyncio.gather(asyncio.gather(*taking), asyncio.gather(*holding))
    taken = sum(one.amount_deducted for one in deductions)
    granted = sum(one.status_code == 201 for one in answers)
    assert taken + 100 * granted == 500
    shown = await credit(owner)
    assert (shown["balance"], shown["available"]) == (500 - taken, 0)
    await agrees(service, owner)


class Hasty(PrepaidUse):
    """Looks without holding on to what it has seen; somebody reserves meanwhile."""

    meanwhile: Any = None

    async def look(
        self, organization_id: OrganizationId, account_id: UUID, *, lock: bool = False
    ) -> Used:
        seen = await super().look(organization_id, account_id)
        if lock and self.meanwhile is not None:
            await self.meanwhile()
        return seen


async def test_without_the_lock_credit_is_spent_twice(service: Service) -> None:
    owner = await a_prepaid(service, 500)
    hasty = Hasty(service.work, PrepaidRepository(service.work))
    loose = CreditLedger(
        service.work,
        CreditRepository(service.work),
        hasty,
        service.services[AuditLog],
        service.clock,
    )

    async def hold() -> None:
        hasty.meanwhile = None
        granted = await asyncio.create_task(reserve(owner, estimated_cost_usd="5"))
        assert granted.status_code == 201

    hasty.meanwhile = hold
    taken = await loose.deduct(owner.organization_id, Money(500), actor="system")
    assert taken.amount_deducted == 500
    seen = await limit(service, owner)
    assert seen["posted"] + seen["held"] > seen["hard_usd"]


class Unheard(PrepaidUse):
    """Never learns that a balance has changed."""

    async def bound(self, organization_id: OrganizationId, account_id: UUID, bound: Bound) -> None:
        return None


async def test_without_the_step_what_was_taken_can_be_held(service: Service) -> None:
    owner = await a_prepaid(service, 500)
    loose = CreditLedger(
        service.work,
        CreditRepository(service.work),
        Unheard(service.work, PrepaidRepository(service.work)),
        service.services[AuditLog],
        service.clock,
    )
    taken = await loose.deduct(owner.organization_id, Money(500), actor="system")
    assert taken.amount_deducted == 500
    assert (await reserve(owner, estimated_cost_usd="5")).status_code == 201
    assert await broken(service, owner.organization_id) == ["credits.use_goes_as_far_as_credit"]
    await settle(service, owner)  # the worker's database is shared


async def test_use_from_before_the_end_of_credit_is_taken_from_it(service: Service) -> None:
    ends = service.clock.now() + timedelta(hours=1)
    owner = await a_prepaid(service, 100, expires_at=ends)
    await give(service, owner, 100)
    assert (await call(owner, "early", 30 * A_CENT)).status_code == 201
    service.clock.advance(hours=1)
    late = service.clock.now().isoformat()
    assert (await call(owner, "late", 5 * A_CENT, occurred_at=late)).status_code == 201
    await service.services[Lapsing].let_lapse()
    assert await ledger(service, owner) == [
        ("grant", 100), ("grant", 100), ("deduction", -30), ("expiry", -70), ("deduction", -5),
    ]  # fmt: skip
    assert (await credit(owner))["available"] == 95
    await agrees(service, owner)


async def test_credit_is_gone_to_the_second_though_no_job_has_run(service: Service) -> None:
    ends = service.clock.now() + timedelta(minutes=5)
    owner = await a_prepaid(service, 100, expires_at=ends)
    await give(service, owner, 20)
    kept = await held(owner, estimated_cost_usd="0.5", ttl_seconds=3600)
    service.clock.advance(minutes=5)
    assert (await reserve(owner, estimated_cost_usd="0.01")).status_code == 402
    assert (await call(owner, "e", A_CENT, enforce=True)).status_code == 402
    await service.services[Using].settle()
    assert await credit(owner) == {
        "balance": 20, "available": 0, "unsettled_usd": "0", "held_usd": "0.5",
    }  # fmt: skip
    # What was granted before stands; what the rest cannot pay is owed.
    done = await commit(
        owner, kept, id="c", type="tokens",
        provider="openai", model="gpt-4o", tokens_in=50 * A_CENT,
    )  # fmt: skip
    assert done.status_code == 200, done.text
    await settle(service, owner)
    assert await credit(owner) == {
        "balance": 0, "available": 0, "unsettled_usd": "0.3", "held_usd": "0",
    }  # fmt: skip
    await agrees(service, owner)


async def test_two_settlers_settle_once(service: Service) -> None:
    owner = await a_prepaid(service, 100)
    await call(owner, "e", 30 * A_CENT)
    using = service.services[Using]
    await asyncio.gather(*(settle(service, owner) for _ in range(4)), using.settle())
    assert await ledger(service, owner) == [("grant", 100), ("deduction", -30)]
    page = await ledger_of(service).transactions(owner.organization_id, PageRequest(1))
    assert [draw.amount for draw in page.items[0].draws] == [30], "it names the grants"
    async with service.work.begin(owner.organization_id) as session:
        cause = await session.scalar(
            text(
                "select cause from credit_entries where organization_id = :us and kind = 'deduction'"
            ),
            {"us": owner.organization_id},
        )
    assert cause == "use:1"


class Dying(PrepaidUse):
    """Dies when everything but the bound is written."""

    async def bound(self, organization_id: OrganizationId, account_id: UUID, bound: Bound) -> None:
        raise ConnectionError("killed")


@pytest.mark.parametrize("plan", ["enterprise", "enterprise_plus"])
async def test_what_credit_paid_for_is_billed_under_no_plan_that_follows(
    service: Service, plan: str
) -> None:
    """Be it that an operator asks for what calls cost, or that the plan says so."""
    owner, operator = await a_prepaid(service, 1_000), await an_operator(service)
    began = service.clock.now()
    assert (await call(owner, "paid", 300 * A_CENT)).status_code == 201
    service.clock.advance(hours=1)
    await draws(service, owner, on_credit=False)
    await grant_plan(service, owner.organization_id, plan)
    assert (await call(owner, "not paid", 20 * A_CENT)).status_code == 201
    issued = await act(operator, await generate(operator, owner, f"{began:%Y-%m}"), "finalize")
    assert used_on(issued) == {"usage": 20}
    service.clock.advance(minutes=5)
    late = (began + timedelta(minutes=5)).isoformat()
    assert (await call(owner, "late", 50 * A_CENT, occurred_at=late)).status_code == 201
    assert (await call(owner, "later", 7 * A_CENT)).status_code == 201
    await settle(service, owner)
    # The invoice took what use had no claim to; what was known late is owed to credit, not billed.
    entries = await ledger(service, owner)
    assert entries == [("grant", 1_000), ("deduction", -300), ("deduction", -700)]
    assert (await credit(owner))["unsettled_usd"] == "0.5"
    next_month = plus_months(began.replace(day=1), 1)
    draft = await generate(operator, owner, f"{next_month:%Y-%m}")
    assert used_on(draft) == {"adjustment": 7}
    proof = await owner.client.get(f"/api/v1/billing/invoices/{issued['id']}/proof")
    events = (await owner.client.get("/api/v1/usage/events/export")).text
    assert verify_invoice.verify(proof.text, events=events)[1] == []
    forged = proof.text.replace('"from_credit":true', '"from_credit":false')
    assert len(verify_invoice.verify(forged, events=events)[1]) > 1, "not for its hash alone"
    await agrees(service, owner)


def used_on(invoice: dict[str, Any]) -> dict[str, int]:
    """What an invoice asks for usage; its credit has paid part of the whole."""
    return {line["kind"]: line["amount"] for line in invoice["lines"] if line["kind"] != "fee"}


async def test_who_dies_while_settling_leaves_nothing_behind(service: Service) -> None:
    owner = await a_prepaid(service, 100)
    await call(owner, "e", 30 * A_CENT)
    dying = CreditLedger(
        service.work,
        CreditRepository(service.work),
        Dying(service.work, PrepaidRepository(service.work)),
        service.services[AuditLog],
        service.clock,
    )
    with pytest.raises(ConnectionError):
        await dying.bring_up(owner.organization_id)
    assert await ledger(service, owner) == [("grant", 100)]
    await agrees(service, owner)
    await settle(service, owner)
    assert await ledger(service, owner) == [("grant", 100), ("deduction", -30)]
    await agrees(service, owner)


async def test_a_void_gives_back_to_the_grants_that_use_drew_on_last(service: Service) -> None:
    owner = await a_prepaid(service)
    now = service.clock.now()
    first = await give(service, owner, 50, expires_at=now + timedelta(days=1))
    second = await give(service, owner, 50)
    for key in ("one", "two"):
        await call(owner, key, 40 * A_CENT)
        await settle(service, owner)
    await owner.client.post(f"{EVENTS}/two/void", json={"reason": "A test"})
    assert (await credit(owner))["available"] == 20, "nothing is spent before it is written down"
    assert (await credit(owner))["unsettled_usd"] == "-0.4"
    await service.services[Using].settle()
    page = await ledger_of(service).transactions(owner.organization_id, PageRequest(1))
    back = {draw.grant_id: draw.amount for draw in page.items[0].draws}
    assert (page.items[0].kind, page.items[0].amount) == ("return", 40)
    assert back == {second: 30, first: 10}
    assert (await credit(owner))["available"] == 60
    await agrees(service, owner)


async def test_only_what_happens_in_the_plan_is_paid_from_credit(service: Service) -> None:
    owner = await an_owner(service, "enterprise")
    await give(service, owner, 100)
    assert (await call(owner, "before", 10 * A_CENT)).status_code == 201
    service.clock.advance(hours=1)
    joined = service.clock.now()
    organizations = service.services[OrganizationService]
    granted = await organizations.entitlements(owner.organization_id)
    drawing = replace(granted, draws_on_credit=True)
    await organizations.apply_entitlements(owner.organization_id, drawing)
    assert (await call(owner, "at once", 20 * A_CENT)).status_code == 201
    await follow(service, owner)  # the job comes a moment later, and counts what came before it
    await follow(service, owner)
    assert (await credit(owner))["balance"] == 80
    early = (joined - timedelta(seconds=1)).isoformat()
    assert (await call(owner, "late", 10 * A_CENT, occurred_at=early)).status_code == 201
    assert (await credit(owner))["unsettled_usd"] == "0"

    service.clock.advance(hours=1)
    left = service.clock.now()
    await organizations.apply_entitlements(owner.organization_id, granted)
    assert (await call(owner, "after", 10 * A_CENT)).status_code == 201
    await service.services[Using].follow(owner.organization_id, left)
    assert (await reserve(owner, estimated_cost_usd="7")).status_code == 201, "nothing refuses"
    assert (await credit(owner))["balance"] == 80
    within = (left - timedelta(seconds=1)).isoformat()
    await call(owner, "of then", 5 * A_CENT, occurred_at=within)
    await owner.client.post(f"{EVENTS}/at once/void", json={"reason": "A test"})
    await settle(service, owner)
    assert (await credit(owner))["balance"] == 95

    service.clock.advance(hours=1)
    await draws(service, owner)
    await call(owner, "again", 15 * A_CENT)
    assert await credit(owner) == {
        "balance": 95, "available": 80, "unsettled_usd": "0.15", "held_usd": "0",
    }  # fmt: skip
    assert (await reserve(owner, estimated_cost_usd="0.81")).status_code == 402
    await agrees(service, owner)


@pytest.mark.parametrize("seed", range(20 if EVERYTHING else 2))
async def test_everybody_at_once_never_spends_more_than_there_is(
    service: Service, seed: int
) -> None:
    """Callers, an operator, invoices and jobs, in rounds: nobody waits in a circle, all adds up."""
    random = Random(seed)
    ends = service.clock.now() + timedelta(minutes=9)
    owner = await a_prepaid(service, 300, expires_at=ends)
    ours: list[str] = []
    names = iter(range(10_000))

    async def hold() -> None:
        answer = await reserve(owner, estimated_cost_usd=str(random.randint(1, 90) / 100))
        assert answer.status_code in (201, 402), answer.text
        if answer.status_code == 201:
            ours.append(answer.json()["id"])

    async def end() -> None:
        if ours:
            one = ours.pop(random.randrange(len(ours)))
            if random.random() < 0.5:
                await owner.client.post(f"{RESERVATIONS}/{one}/release")
            else:
                await commit(
                    owner, one, id=f"c{next(names)}", type="tokens",
                    provider="openai", model="gpt-4o", tokens_in=1_300,
                )  # fmt: skip

    async def use() -> None:
        tokens = random.randint(1, 8 * A_CENT)
        answer = await call(owner, f"e{next(names)}", tokens, enforce=True)
        assert answer.status_code in (201, 402), answer.text

    async def void() -> None:
        await owner.client.post(f"{EVENTS}/e{random.randint(0, 40)}/void", json={"reason": "x"})

    async def take() -> None:
        cents = Money(random.randint(1, 60))
        await ledger_of(service).deduct(owner.organization_id, cents, actor="system")

    async def grant() -> None:
        await give(service, owner, random.randint(1, 40))

    async def job() -> None:
        await service.services[Using].settle()

    for _ in range(6):
        kinds = random.choices(
            (hold, end, use, void, take, grant, job), (5, 4, 8, 1, 2, 2, 1), k=24
        )
        await asyncio.wait_for(asyncio.gather(*(kind() for kind in kinds)), 60)
        service.clock.advance(minutes=2)
        seen = await limit(service, owner)
        if service.clock.now() < ends:
            assert seen["posted"] + seen["held"] <= seen["hard_usd"]
    await service.services[Reservations].expire()
    await settle(service, owner)
    shown = await credit(owner)
    assert shown["balance"] >= 0
    assert shown["held_usd"] == "0" or ours
    await agrees(service, owner)


async def test_a_plan_is_followed_by_a_job(service: Service) -> None:
    owner = await an_owner(service, "enterprise")
    organizations = service.services[OrganizationService]
    granted = await organizations.entitlements(owner.organization_id)
    drawing = replace(granted, draws_on_credit=True)
    await organizations.apply_entitlements(owner.organization_id, drawing)
    await service.drain()
    refused = await reserve(owner, estimated_cost_usd="0.01")
    assert refused.json()["code"] == "insufficient_credits"


CATALOG = """
name: prepaid
window: calendar_month
default_plan: prepaid
metrics:
  tokens: {unit: token, measure: tokens}
plans:
  - key: prepaid
    name: Prepaid
    prices: [{amount: 0}]
    seats: 3
    draws_on_credit: true
"""


async def test_a_catalog_may_sell_nothing_but_credit(
    fresh_url: URL, clock: ManualClock, tmp_path: Path
) -> None:
    path = tmp_path / "prepaid.yaml"
    path.write_text(CATALOG)
    async with running(fresh_url, clock, catalog=str(path)) as service:
        owner = await an_owner(service)
        await service.drain()
        (plan,) = (await owner.client.get("/api/v1/plans")).json()["plans"]
        assert plan["draws_on_credit"] is True
        refused = await reserve(owner, estimated_cost_usd="0.01")
        assert refused.status_code == 402, refused.text
        assert refused.json()["code"] == "insufficient_credits"
        assert refused.json()["upgrade_to"] is None
        await give(service, owner, 2500)
        assert (await reserve(owner, estimated_cost_usd="25")).status_code == 201
        await agrees(service, owner)


FAULTS = {
    "credits.use_goes_as_far_as_credit": (
        "update spend_limits set hard_usd = hard_usd + 0.01 where scope = 'credit'"
    ),
    "credits.settled_use_is_in_entries": "update credit_accounts set use_settled = use_settled + 1",
    "credits.plans_that_draw_are_followed": (
        "update organizations set draws_on_credit_since = draws_on_credit_since - interval '1 day'"
    ),
}


@pytest.mark.parametrize("name", list(FAULTS))
async def test_each_invariant_of_use_sees_its_fault(service: Service, name: str) -> None:
    owner = await a_prepaid(service, 100)
    await call(owner, "e", A_CENT)
    await settle(service, owner)
    us = owner.organization_id
    assert await broken(service, us) == []

    class Undo(Exception):
        pass

    with pytest.raises(Undo):
        async with service.work.begin_platform() as session:
            place = "id" if "update organizations" in FAULTS[name] else "organization_id"
            glue = "and" if " where " in FAULTS[name] else "where"
            await session.execute(text(f"{FAULTS[name]} {glue} {place} = :us"), {"us": us})
            assert name in await broken(service, us)
            raise Undo
    assert await broken(service, us) == []


def test_cents() -> None:
    huge = Decimal("99999999999999999999.999999999999999999")
    assert whole_cents(huge) == 9999999999999999999999
    assert [whole_cents(Decimal(cost)) for cost in ("0", "0.0099", "0.01", "-0.001")] == [
        0,
        0,
        1,
        -1,
    ]
    assert [spare(10, Decimal(cost)) for cost in ("0", "0.001", "0.01", "0.1", "5")] == [
        10,
        9,
        9,
        0,
        0,
    ]
    one, two = UUID(int=1), UUID(int=2)
    assert undraw(5, [Draw(one, 3), Draw(two, 9)]) == (Draw(one, -3), Draw(two, -2))
