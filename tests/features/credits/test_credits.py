"""Credit is given, drawn in order, lapses and goes back, and never goes below nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text

from app.audit.service import AuditLog
from app.credits.domain import CreditUse, GrantType
from app.credits.errors import GrantOver
from app.credits.events import CreditExpiring
from app.credits.invariants import INVARIANTS
from app.credits.models import CreditAccount
from app.credits.repository import CreditRepository
from app.credits.service.lapsing import Lapsing
from app.credits.service.ledger import CreditLedger, NewGrant
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.pages import PageRequest
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

GRANTS = "/api/v1/admin/credits/grants"
DEDUCTIONS = "/api/v1/admin/credits/deductions"
CREDITS = "/api/v1/billing/credits"


def ledger_of(service: Service) -> CreditLedger:
    return service.services[CreditLedger]


async def give(
    service: Service, owner: Owner, amount: int, currency: str = "usd", **fields: Any
) -> UUID:
    new = NewGrant(
        **{"type": GrantType.PROMOTIONAL, "amount": Money(amount, Currency(currency)), **fields}
    )
    return (await ledger_of(service).grant(owner.organization_id, new, actor="system")).id


async def broken(service: Service, organization_id: OrganizationId | None = None) -> list[str]:
    async with service.work.begin_platform() as session:
        return [
            name
            for name, (_, sql) in INVARIANTS.items()
            if (await session.execute(text(sql), asked(service, organization_id))).all()
        ]


def asked(service: Service, organization_id: OrganizationId | None) -> dict[str, Any]:
    return {"organization_id": organization_id, "now": service.clock.now()}


async def balance(owner: Owner) -> int:
    answer = await owner.client.get(CREDITS)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["balance"])


async def grant_over_http(
    operator: httpx.AsyncClient, owner: Owner, amount: int, **fields: Any
) -> dict[str, Any]:
    body = {"organization_id": owner.id, "amount": amount, **fields}
    answer = await operator.post(GRANTS, json=body)
    assert answer.status_code == 201, answer.text
    given: dict[str, Any] = answer.json()
    return given


async def test_an_operator_gives_and_takes_and_the_owner_sees_it(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    assert (await owner.client.get(CREDITS)).json() == {
        "currency": "usd",
        "balance": 0,
        "available": 0,
        "unsettled_usd": "0",
        "held_usd": "0",
        "expiring": [],
        "balances": [],
    }
    bonus = await grant_over_http(
        operator, owner, 5000, description="Welcome bonus", expires_in_days=90
    )
    assert bonus["id"].startswith("crd_")
    assert bonus["expires_at"] == "2027-02-19T09:00:00Z"
    bought = await grant_over_http(operator, owner, 1000, type="purchased")
    shown = (await owner.client.get(CREDITS)).json()
    assert (shown["balance"], shown["currency"]) == (6000, "usd")
    assert [grant["id"] for grant in shown["expiring"]] == [bonus["id"]]

    body = {"organization_id": owner.id, "amount": 5500, "description": "Monthly subscription"}
    taken = (await operator.post(DEDUCTIONS, json=body)).json()
    assert (taken["amount_deducted"], taken["remaining_amount"], taken["balance"]) == (5500, 0, 500)
    assert taken["transaction"]["grants"] == [
        {"grant_id": bonus["id"], "amount": 5000},
        {"grant_id": bought["id"], "amount": 500},
    ]
    short = (await operator.post(DEDUCTIONS, json=body)).json()
    assert (short["amount_deducted"], short["remaining_amount"], short["balance"]) == (500, 5000, 0)
    nothing = (await operator.post(DEDUCTIONS, json=body)).json()
    assert (nothing["amount_deducted"], nothing["transaction"]) == (0, None)

    listed = (await owner.client.get(f"{CREDITS}/transactions")).json()["data"]
    assert [(line["kind"], line["amount"]) for line in listed] == [
        ("deduction", -500),
        ("deduction", -5500),
        ("grant", 1000),
        ("grant", 5000),
    ]
    assert await broken(service, owner.organization_id) == []
    page = await service.services[AuditLog].list_for_organization(
        owner.organization_id, PageRequest(10)
    )
    assert [entry.action for entry in page.items].count("credits.granted") == 2


async def test_one_key_gives_once(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    body = {"organization_id": owner.id, "amount": 700}
    headers = {"Idempotency-Key": f"once-{owner.id}"}
    first = await operator.post(GRANTS, json=body, headers=headers)
    again = await operator.post(GRANTS, json=body, headers=headers)
    assert again.json() == first.json()
    assert await balance(owner) == 700


async def test_others_neither_give_nor_see(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    operator = await an_operator(service)
    await grant_over_http(operator, owner, 700)
    assert await balance(stranger) == 0
    refused = await owner.client.post(GRANTS, json={"organization_id": owner.id, "amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (403, "operators_only")
    gone = await operator.post(GRANTS, json={"organization_id": "org_" + "0" * 26, "amount": 1})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 1.5},
        {"amount": 10**13},
        {"currency": "dollars"},
        {"type": "stolen"},
        {"expires_in_days": 1, "expires_at": "2027-01-01T00:00:00Z"},
        {"surprise": 1},
    ],
)
async def test_what_is_no_grant_is_refused(service: Service, fields: dict[str, Any]) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    body = {"organization_id": owner.id, "amount": 100, **fields}
    assert (await operator.post(GRANTS, json=body)).status_code == 422
    assert await balance(owner) == 0


async def test_an_end_lies_ahead(service: Service) -> None:
    owner = await an_owner(service)
    with pytest.raises(GrantOver):
        await give(service, owner, 100, expires_at=service.clock.now())


async def test_currencies_are_kept_apart(service: Service) -> None:
    owner = await an_owner(service)
    await give(service, owner, 100)
    await give(service, owner, 900, "jpy")
    taken = await ledger_of(service).deduct(
        owner.organization_id, Money(500, Currency("jpy")), actor="system"
    )
    assert (taken.amount_deducted, taken.balance) == (500, 400)
    shown = (await owner.client.get(CREDITS)).json()
    assert {one["currency"]: one["balance"] for one in shown["balances"]} == {
        "jpy": 400,
        "usd": 100,
    }


async def test_credit_lapses_to_the_second_and_is_written_down_once(service: Service) -> None:
    owner = await an_owner(service)
    await give(service, owner, 300, expires_at=service.clock.now() + timedelta(hours=1))
    await give(service, owner, 200)
    service.clock.advance(timedelta(hours=1) - timedelta(seconds=1))
    assert await balance(owner) == 500
    service.clock.advance(timedelta(seconds=1))
    # Nobody may spend it although no job has run yet.
    assert await balance(owner) == 200
    lapsing = service.services[Lapsing]
    await lapsing.let_lapse()
    await lapsing.let_lapse()
    page = await ledger_of(service).transactions(owner.organization_id, PageRequest(10))
    assert (page.items[0].kind, page.items[0].amount) == ("expiry", -300)
    assert len(page.items) == 3
    assert await balance(owner) == 200
    assert await broken(service, owner.organization_id) == []


async def test_a_deduction_writes_lapsed_credit_off_first(service: Service) -> None:
    owner = await an_owner(service)
    await give(service, owner, 300, expires_at=service.clock.now() + timedelta(hours=1))
    service.clock.advance(timedelta(hours=2))
    taken = await ledger_of(service).deduct(owner.organization_id, Money(100), actor="system")
    assert (taken.amount_deducted, taken.balance) == (0, 0)
    assert await broken(service, owner.organization_id) == []


async def test_people_are_warned_once_a_week_before(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await an_owner(service)
    ends = service.clock.now() + timedelta(days=10)
    grant_id = await give(service, owner, 300, expires_at=ends)
    heard: list[CreditExpiring] = []
    lapsing = service.services[Lapsing]
    announce = UnitOfWork.announce

    def listen(work: UnitOfWork, fact: Any) -> None:
        if isinstance(fact, CreditExpiring):
            heard.append(fact)
        announce(work, fact)

    monkeypatch.setattr(UnitOfWork, "announce", listen)
    await lapsing.warn()
    assert [fact for fact in heard if fact.grant_id == grant_id] == []
    service.clock.advance(timedelta(days=4))
    await asyncio.gather(lapsing.warn(), lapsing.warn())
    await lapsing.warn()
    mine = [fact for fact in heard if fact.grant_id == grant_id]
    assert mine == [CreditExpiring(owner.organization_id, grant_id, 300, "usd", ends)]


async def test_what_was_taken_for_a_document_goes_back_to_its_grants_once(
    service: Service,
) -> None:
    owner = await an_owner(service)
    ledger, us = ledger_of(service), owner.organization_id
    short = await give(service, owner, 300, expires_at=service.clock.now() + timedelta(days=1))
    await give(service, owner, 200)
    taken = await ledger.deduct(us, Money(400), actor="system", cause="invoice:1")
    again = await ledger.deduct(us, Money(400), actor="system", cause="invoice:1")
    assert taken == again
    assert await balance(owner) == 100
    for expected in (Money(400), None):
        back = await ledger.give_back(us, "invoice:1", actor="system", description="voided")
        assert back == expected
        assert await balance(owner) == 500
    assert await ledger.give_back(us, "invoice:2", actor="system", description="x") is None
    async with service.work.begin(us):
        (first,) = await CreditRepository(service.work).list_named(us, [short])
        assert first.remaining == 300
    assert await broken(service, us) == []


async def test_what_goes_back_to_a_lapsed_grant_lapses_again(service: Service) -> None:
    owner = await an_owner(service)
    ledger, us = ledger_of(service), owner.organization_id
    await give(service, owner, 300, expires_at=service.clock.now() + timedelta(hours=1))
    await ledger.deduct(us, Money(100), actor="system", cause="invoice:1")
    service.clock.advance(timedelta(hours=2))
    await service.services[Lapsing].let_lapse()
    await ledger.give_back(us, "invoice:1", actor="system", description="voided")
    assert await balance(owner) == 0
    page = await ledger.transactions(us, PageRequest(10))
    assert Counter(line.kind.value for line in page.items) == {
        "grant": 1,
        "deduction": 1,
        "expiry": 2,
        "return": 1,
    }
    assert await broken(service, us) == []


class Unlocked(CreditRepository):
    """The safety taken away: the account is read and not held."""

    async def lock_account(
        self, organization_id: OrganizationId, currency: Currency, now: datetime
    ) -> CreditAccount:
        found = await self.session.scalars(
            select(CreditAccount).where(
                CreditAccount.organization_id == organization_id,
                CreditAccount.currency == str(currency),
            )
        )
        return found.one()

    async def list_left(self, *args: Any) -> Any:
        found = await super().list_left(*args)
        await asyncio.sleep(0.05)
        return found


async def test_ten_at_once_never_take_more_than_there_is(service: Service) -> None:
    owner = await an_owner(service)
    await give(service, owner, 250)
    us = owner.organization_id
    taken = await asyncio.gather(
        *(ledger_of(service).deduct(us, Money(100), actor="system") for _ in range(10))
    )
    assert sorted(one.amount_deducted for one in taken) == [0] * 7 + [50, 100, 100]
    assert await balance(owner) == 0
    assert await broken(service, us) == []


async def test_without_the_lock_they_would(service: Service) -> None:
    owner = await an_owner(service)
    us = owner.organization_id
    loose = CreditLedger(
        service.work,
        Unlocked(service.work),
        service.services[CreditUse],  # type: ignore[type-abstract]
        service.services[AuditLog],
        service.clock,
    )
    for _ in range(5):  # they have to meet
        await give(service, owner, 250)
        await asyncio.gather(
            *(loose.deduct(us, Money(100), actor="system") for _ in range(10)),
            return_exceptions=True,
        )
        if wrong := await broken(service, us):
            break
    assert wrong != []
    async with service.work.begin(us) as session:  # the worker's database is shared
        for table in ("credit_draws", "credit_entries", "credit_grants"):
            await session.execute(
                text(f"delete from {table} where organization_id = :us"), {"us": us}
            )


@pytest.mark.parametrize(
    ("name", "breaking"),
    [
        ("credits.balances_are_their_entries", "update credit_entries set amount = amount + 1"),
        (
            "credits.grants_give_what_they_have",
            "update credit_grants set remaining = remaining - 1",
        ),
        ("credits.entries_name_their_grants", "update credit_draws set amount = amount - 1"),
        (
            "credits.no_balance_is_negative",
            "update credit_entries set kind = 'deduction', amount = -5",
        ),
    ],
)
async def test_each_invariant_sees_what_it_is_there_for(
    service: Service, name: str, breaking: str
) -> None:
    owner = await an_owner(service)
    await give(service, owner, 250)
    us = owner.organization_id
    assert await broken(service, us) == []

    class Undo(Exception):
        pass

    with pytest.raises(Undo):
        async with service.work.begin(us) as session:
            await session.execute(text(f"{breaking} where organization_id = :us"), {"us": us})
            _, sql = INVARIANTS[name]
            assert (await session.execute(text(sql), asked(service, us))).all() != []
            raise Undo
    assert await broken(service, us) == []
