"""Reservations on limits on spending, in every scope."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.kernel.ids import encode_id, new_id
from app.usage.service.reservations import Reservations
from app.usage.service.spend_limits import SpendLimits
from app.usage.spend import Limit, Override, SpendPeriod, SpendScope
from tests.factories.people import Owner, an_owner
from tests.features.usage.books import books
from tests.features.usage.test_commits import commit, held
from tests.features.usage.test_reservations import RESERVATIONS, reserve
from tests.support import recount
from tests.support.service import Service


async def a_limit(
    service: Service,
    owner: Owner,
    amount: str,
    scope: SpendScope = SpendScope.ORGANIZATION,
    subject: str = "",
    **changes: Any,
) -> Limit:
    values: dict[str, Any] = {
        "period": SpendPeriod.MONTHLY,
        "amount_usd": Decimal(amount),
        "soft_usd": None,
        "hard_usd": Decimal(amount),
        "thresholds": (Decimal(1),),
        "auto_suspend": False,
        **changes,
    }
    limit = Limit(id=new_id(), scope=scope, subject=subject, **values)
    await service.services[SpendLimits].put(owner.organization_id, limit)
    return limit


async def held_on(service: Service, owner: Owner, limit: Limit) -> Decimal:
    standing = await service.services[SpendLimits].standing(owner.organization_id, limit.id)
    return standing.held


async def test_cost_is_held_on_every_budget_that_it_meets(service: Service) -> None:
    owner = await an_owner(service)
    limits = [
        await a_limit(service, owner, "9", scope, subject)
        for scope, subject in (
            (SpendScope.MODEL, "openai/gpt-4o"),
            (SpendScope.MODEL, "gpt-4o"),
            (SpendScope.ORGANIZATION, ""),
            (SpendScope.USER, "u"),
            (SpendScope.WORKSPACE, "w"),
            (SpendScope.DEBATE, "d"),
        )
    ]
    other = await a_limit(service, owner, "9", SpendScope.DEBATE, "other")
    labels = {"provider": "openai", "model": "gpt-4o", "user_id": "u", "workspace": "w"}
    answer = await reserve(owner, estimated_cost_usd="2", debate_id="d", **labels)
    body = answer.json()
    assert answer.status_code == 201, body
    assert [each["scope"] for each in body["held"]] == [
        "debate", "workspace", "user", "organization", "model", "model",
    ]  # fmt: skip
    assert {each["amount_usd"] for each in body["held"]} == {"2"}
    assert [await held_on(service, owner, limit) for limit in limits] == [Decimal(2)] * 6
    assert await held_on(service, owner, other) == 0
    await owner.client.post(f"{RESERVATIONS}/{body['id']}/release")
    assert [await held_on(service, owner, limit) for limit in limits] == [Decimal(0)] * 6


async def test_the_innermost_budget_says_no_first(service: Service) -> None:
    owner = await an_owner(service)
    whole = await a_limit(service, owner, "1")
    debate = await a_limit(service, owner, "2", SpendScope.DEBATE, "d")
    answer = await reserve(owner, estimated_cost_usd="2.5", debate_id="d", metric="debates")
    body = answer.json()
    assert (answer.status_code, body["code"], body["scope"]) == (402, "budget_exceeded", "debate")
    assert body["budget_id"] == encode_id("bud", debate.id)
    shown = [body[name] for name in ("limit", "spent", "held", "remaining", "requested", "reason")]
    assert shown == ["2", "0", "0", "2", "2.5", "hard_limit"]
    answer = await reserve(owner, estimated_cost_usd="1.5", debate_id="d")
    assert answer.json()["budget_id"] == encode_id("bud", whole.id)
    quota = await reserve(owner, estimated_cost_usd="0.5", metric="debates", quantity=11)
    assert quota.json()["code"] == "quota_exceeded"
    for limit in (whole, debate):
        assert await held_on(service, owner, limit) == 0, "all of it or nothing"
    assert await books(service, owner) == []


async def test_the_last_of_a_budget_goes_to_as_many_as_fit(service: Service) -> None:
    owner = await an_owner(service)
    limit = await a_limit(service, owner, "1")
    answers = await asyncio.gather(*(reserve(owner, estimated_cost_usd="0.1") for _ in range(64)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [402] * 54
    assert await held_on(service, owner, limit) == 1


async def test_what_a_budget_refuses_counts_nowhere(service: Service) -> None:
    owner = await an_owner(service)  # its plan limits debates, and no tokens
    await a_limit(service, owner, "0.1")
    event = {"type": "tokens", "provider": "openai", "model": "gpt-4o", "tokens_in": 4000}
    calls = [
        owner.client.post(
            "/api/v1/usage/events", json={"id": f"e{number}", **event}, params={"enforce": True}
        )
        for number in range(30)
    ]
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [402] * 20
    assert await recount.broken(service, owner.organization_id) == {}


async def test_a_soft_limit_a_suspension_and_who_may_pass(service: Service) -> None:
    owner = await an_owner(service)
    services = service.services[SpendLimits]
    soft = await a_limit(service, owner, "1", hard_usd=Decimal(3), soft_usd=Decimal(1))
    # An owner may exceed budgets; the soft limit is for those who may not.
    assert (await reserve(owner, estimated_cost_usd="2")).status_code == 201
    refused = await reserve(owner, estimated_cost_usd="2")
    assert refused.json()["reason"] == "hard_limit"
    await services.suspend(owner.organization_id, soft.id)
    refused = await reserve(owner, metric="debates")
    assert (refused.status_code, refused.json()["reason"]) == (402, "suspended")
    until = service.clock.now() + timedelta(hours=1)
    override = Override(new_id(), soft.id, encode_id("usr", owner.user_id), until)
    await services.override(owner.organization_id, override)
    assert (await reserve(owner, estimated_cost_usd="7")).status_code == 201
    assert await held_on(service, owner, soft) == 9, "what is lifted is held all the same"
    service.clock.advance(hours=1)
    await service.services[Reservations].expire()
    assert (await reserve(owner, metric="debates")).status_code == 402
    assert await books(service, owner) == []


async def test_a_child_meets_what_its_parent_did_not(service: Service) -> None:
    owner = await an_owner(service)
    whole = await a_limit(service, owner, "10")
    model = await a_limit(service, owner, "1", SpendScope.MODEL, "gpt-4o")
    envelope = await held(owner, estimated_cost_usd="5")
    dear = await reserve(owner, estimated_cost_usd="2", model="gpt-4o", parent_id=envelope)
    assert (dear.status_code, dear.json()["scope"]) == (402, "model")
    child = await held(owner, estimated_cost_usd="1", model="gpt-4o", parent_id=envelope)
    assert await held_on(service, owner, whole) == 5
    assert await held_on(service, owner, model) == 1
    await owner.client.post(f"{RESERVATIONS}/{envelope}/release")
    assert await held_on(service, owner, whole) == 1
    body = (await owner.client.post(f"{RESERVATIONS}/{child}/release")).json()
    assert body["returned"] == [{"kind": "cost", "amount_usd": "1"}]
    assert await held_on(service, owner, whole) == 0
    assert await held_on(service, owner, model) == 0


async def test_what_a_call_cost_leaves_the_hold(service: Service) -> None:
    owner = await an_owner(service)
    limit = await a_limit(service, owner, "10")
    call = {"provider": "openai", "model": "gpt-4o"}
    reservation = await held(
        owner, metric="debates", tokens_in=1_000_000, max_tokens_out=100_000, **call
    )
    assert await held_on(service, owner, limit) == Decimal("3.5")
    body = (await commit(owner, reservation, id="e", tokens_in=1_000_000, tokens_out=10_000)).json()
    assert body["event"]["cost_usd"] == "2.6"
    assert body["returned"] == [{"kind": "cost", "amount_usd": "0.9"}]
    assert await held_on(service, owner, limit) == 0
    assert await books(service, owner) == []


@pytest.mark.parametrize("period", list(SpendPeriod))
async def test_a_hold_stays_in_its_period(service: Service, period: SpendPeriod) -> None:
    owner = await an_owner(service)
    limit = await a_limit(service, owner, "1", period=period)
    reservation = await held(owner, estimated_cost_usd="1", ttl_seconds=86_400)
    service.clock.advance(hours=16)
    answer = await reserve(owner, estimated_cost_usd="1")
    assert answer.status_code == (201 if period is SpendPeriod.DAILY else 402)
    body = (await owner.client.post(f"{RESERVATIONS}/{reservation}/release")).json()
    assert body["returned"] == [{"kind": "cost", "amount_usd": "1"}]
    assert await held_on(service, owner, limit) == (1 if period is SpendPeriod.DAILY else 0)
    assert await books(service, owner) == []


async def test_a_removed_budget_stands_in_no_ones_way(service: Service) -> None:
    owner = await an_owner(service)
    limit = await a_limit(service, owner, "1")
    reservation = await held(owner, estimated_cost_usd="1")
    await service.services[SpendLimits].remove(owner.organization_id, limit.id)
    assert (await reserve(owner, estimated_cost_usd="5")).status_code == 201
    answer = await owner.client.post(f"{RESERVATIONS}/{reservation}/release")
    assert answer.json()["state"] == "released"
    assert await books(service, owner) == []
