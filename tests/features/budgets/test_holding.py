"""Budgets hold: who is refused, who may pass, whatever arrives at once, late or twice."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.kernel.ids import decode_id
from app.usage.ddl import gate
from app.usage.models import Spend
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.features.budgets.test_api import a_budget, spend
from tests.support.recount import broken_at
from tests.support.service import Service, running

BUDGETS = "/api/v1/budgets"
EVENTS = "/api/v1/usage/events"
ENFORCED = f"{EVENTS}?enforce=true"
COST = Decimal("0.0165")


def call(key: str, **fields: Any) -> dict[str, Any]:
    """A call that costs 0.0165 USD: 1,000 tokens in and 900 out of claude-sonnet-4."""
    return {
        "id": key,
        "type": "tokens",
        "provider": "anthropic",
        "model": "claude-sonnet-4",
        "tokens_in": 1000,
        "tokens_out": 900,
        **fields,
    }


async def state(owner: Owner, made: dict[str, Any]) -> dict[str, Any]:
    answer = await owner.client.get(f"{BUDGETS}/{made['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def hold(service: Service, owner: Owner, made: dict[str, Any], amount: str) -> None:
    """What a reservation does to a budget."""
    async with service.work.begin(owner.organization_id) as session:
        spend = await session.get_one(
            Spend,
            (
                owner.organization_id,
                decode_id("bud", made["id"]),
                datetime(2026, 11, 1, tzinfo=UTC),
            ),
        )
        spend.held += Decimal(amount)


async def a_key(owner: Owner, *scopes: str) -> tuple[str, dict[str, str]]:
    answer = await owner.client.post(
        "/api/v1/auth/api-keys", json={"name": "k", "scopes": list(scopes)}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], {"X-API-Key": answer.json()["key"]}


async def test_what_does_not_fit_is_refused_and_says_why(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="0.05")
    for number in range(3):
        answer = await owner.client.post(ENFORCED, json=call(f"c{number}"))
        assert answer.status_code == 201, answer.text
    refused = await owner.client.post(ENFORCED, json=call("c3"))
    assert refused.status_code == 402, refused.text
    assert refused.headers["content-type"].startswith("application/problem+json")
    expected = {
        "code": "budget_exceeded",
        "budget_id": made["id"],
        "scope": "organization",
        "subject": None,
        "reason": "hard_limit",
        "limit": "0.05",
        "spent": "0.0495",
        "held": "0",
        "remaining": "0.0005",
        "requested": "0.0165",
    }
    assert expected.items() <= refused.json().items()
    # A repeat of what was recorded is no new spending.
    again = await owner.client.post(ENFORCED, json=call("c0"))
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    # What is not enforced has happened, and is counted.
    happened = await owner.client.post(EVENTS, json=call("c3"))
    assert happened.status_code == 201
    assert (await state(owner, made))["spent_usd"] == "0.066"


async def test_what_is_held_counts_too(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="1")
    await owner.client.post(EVENTS, json=call("a"))
    await hold(service, owner, made, "0.98")
    refused = await owner.client.post(ENFORCED, json=call("b"))
    assert refused.status_code == 402
    assert (refused.json()["held"], refused.json()["remaining"]) == ("0.98", "0.0035")
    checked = await owner.client.post(f"{BUDGETS}/check", json={"amount_usd": "0.0036"})
    assert (checked.json()["allowed"], checked.json()["reason"]) == (False, "hard_limit")
    allowed = await owner.client.post(f"{BUDGETS}/check", json={"amount_usd": "0.0035"})
    assert allowed.json()["allowed"] is True


async def test_a_batch_takes_what_fits_in_its_order(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="0.05")
    rows = [call(f"r{number}") for number in range(5)]
    answer = await owner.client.post(f"{EVENTS}/batch?enforce=true", json={"events": rows})
    found = [row["status"] for row in answer.json()["results"]]
    assert found == ["recorded"] * 3 + ["error"] * 2
    assert answer.json()["results"][4]["error"]["code"] == "budget_exceeded"
    assert (await state(owner, made))["spent_usd"] == "0.0495"


async def test_only_what_a_budget_is_about_is_refused(service: Service) -> None:
    owner = await an_owner(service, "professional")
    key_id, key = await a_key(owner, "usage.write", "budgets.exceed")
    for scope, subject in (
        ("workspace", "red"),
        ("user", "u-1"),
        ("debate", "d-1"),
        ("model", "claude-opus-4"),
        ("model", "openrouter/claude-sonnet-4"),
        ("api_key", key_id),
    ):
        await a_budget(owner, amount_usd="0", scope=scope, subject=subject)
    labels = {"workspace": "blue", "user_id": "u-2", "debate_id": "d-2"}
    passed = await owner.client.post(ENFORCED, json=call("free", **labels))
    assert passed.status_code == 201, passed.text
    for number, named in enumerate(
        (
            {"workspace": "red"},
            {"user_id": "u-1"},
            {"debate_id": "d-1"},
            {"model": "claude-opus-4"},
            {"provider": "openrouter"},
        )
    ):
        refused = await owner.client.post(ENFORCED, json=call(f"n{number}", **{**labels, **named}))
        assert refused.status_code == 402, (named, refused.text)
    async with service.client(**key) as program:
        refused = await program.post(ENFORCED, json=call("by-key", **labels))
        assert refused.status_code == 402, refused.text
        assert refused.json()["subject"] == key_id


async def test_a_soft_limit_refuses_only_callers_who_may_not_exceed(service: Service) -> None:
    owner = await an_owner(service, "professional")
    await a_budget(
        owner, amount_usd="0.05", thresholds=[{"fraction": "0.5", "action": "soft_limit"}]
    )
    _, plain = await a_key(owner, "usage.write")
    _, trusted = await a_key(owner, "usage.write", "budgets.exceed")
    async with service.client(**plain) as program:
        assert (await program.post(ENFORCED, json=call("a"))).status_code == 201
        refused = await program.post(ENFORCED, json=call("b"))
        assert (refused.status_code, refused.json()["reason"]) == (402, "soft_limit")
        assert refused.json()["limit"] == "0.025"
    async with service.client(**trusted) as program:
        for number in range(4):
            answer = await program.post(ENFORCED, json=call(f"t{number}"))
            assert answer.status_code == 201, answer.text


async def test_a_hard_limit_refuses_all_but_an_override(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="0")
    path = f"{BUDGETS}/{made['id']}/overrides"
    assert (await owner.client.post(ENFORCED, json=call("a"))).status_code == 402
    body = {"user_id": "u-1", "duration_hours": 24, "reason": "a demo"}
    granted = await owner.client.post(path, json=body)
    assert granted.status_code == 201, granted.text
    assert granted.json()["until"] == "2026-11-22T09:00:00Z"
    assert granted.json()["reason"] == "a demo"
    assert (await owner.client.post(ENFORCED, json=call("a", user_id="u-1"))).status_code == 201
    assert (await owner.client.post(ENFORCED, json=call("b", user_id="u-2"))).status_code == 402
    assert (await owner.client.get(path)).json()["data"] == [granted.json()]
    ended = await owner.client.delete(f"{path}/{granted.json()['id']}")
    assert ended.status_code == 204
    assert (await owner.client.delete(f"{path}/{granted.json()['id']}")).status_code == 404
    assert (await owner.client.post(ENFORCED, json=call("b", user_id="u-1"))).status_code == 402
    # Named by id, a member passes whatever the event says; and only until it ends.
    me = (await owner.client.get("/api/v1/auth/me")).json()["id"]
    until = "2026-11-21T10:00:00Z"
    await owner.client.post(path, json={"user_id": me, "until": until, "reason": "mine"})
    assert (await owner.client.post(ENFORCED, json=call("c"))).status_code == 201
    service.clock.set(datetime(2026, 11, 21, 10, tzinfo=UTC))
    assert (await owner.client.post(ENFORCED, json=call("d"))).status_code == 402


async def test_a_suspended_budget_refuses_until_it_is_resumed(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="100")
    path = f"{BUDGETS}/{made['id']}"
    for _ in range(2):
        suspended = await owner.client.post(f"{path}/suspend", json={"reason": "a leaked key"})
        assert suspended.json()["is_suspended"] is True
    refused = await owner.client.post(ENFORCED, json=call("a"))
    assert (refused.status_code, refused.json()["reason"]) == (402, "suspended")
    assert (await owner.client.post(EVENTS, json=call("happened"))).status_code == 201
    for _ in range(2):
        resumed = await owner.client.post(f"{path}/resume")
        assert resumed.json()["is_suspended"] is False
    assert (await owner.client.post(ENFORCED, json=call("a"))).status_code == 201


async def test_auto_suspend_stops_what_costs_nothing_too(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner, amount_usd="0.0165", auto_suspend=True)
    assert (
        await owner.client.post(ENFORCED, json={"id": "d", "type": "debate"})
    ).status_code == 201
    assert (await owner.client.post(ENFORCED, json=call("a"))).status_code == 201
    suspended = await state(owner, made)
    assert suspended["is_suspended"] is True
    assert suspended["suspended_until"] == "2026-12-01T00:00:00Z"
    refused = await owner.client.post(ENFORCED, json={"id": "e", "type": "debate"})
    assert (refused.status_code, refused.json()["reason"]) == (402, "suspended")
    # An amount above what is spent ends it.
    raised = await owner.client.patch(f"{BUDGETS}/{made['id']}", json={"amount_usd": "1"})
    assert raised.json()["is_suspended"] is False
    assert (
        await owner.client.post(ENFORCED, json={"id": "e", "type": "debate"})
    ).status_code == 201


async def test_what_has_no_price_is_refused_only_when_nothing_is_left(service: Service) -> None:
    owner = await an_owner(service)
    await a_budget(owner, amount_usd="0.0165")
    nameless = {"provider": "nobody", "model": "no-such-model"}
    assert (await owner.client.post(ENFORCED, json=call("a", **nameless))).status_code == 201
    assert (await owner.client.post(ENFORCED, json=call("b"))).status_code == 201
    assert (await owner.client.post(ENFORCED, json=call("c", **nameless))).status_code == 402


async def test_late_events_voids_and_the_period(service: Service) -> None:
    owner = await an_owner(service)
    daily = await a_budget(owner, amount_usd="0.04", period="daily")
    total = await a_budget(owner, amount_usd="10", period="total")
    await owner.client.post(EVENTS, json=call("yesterday", occurred_at="2026-11-20T23:59:59Z"))
    assert (await state(owner, daily))["spent_usd"] == "0"
    assert (await state(owner, total))["spent_usd"] == "0.0165"
    for key in ("a", "b"):
        assert (await owner.client.post(ENFORCED, json=call(key))).status_code == 201
    assert (await owner.client.post(ENFORCED, json=call("c"))).status_code == 402
    for _ in range(2):
        voided = await owner.client.post(f"{EVENTS}/a/void", json={"reason": "a mistake"})
        assert voided.status_code == 200
    assert (await state(owner, daily))["spent_usd"] == "0.0165"
    assert (await owner.client.post(ENFORCED, json=call("c"))).status_code == 201
    assert (await state(owner, total))["spent_usd"] == "0.0495"


async def test_two_processes_never_pass_a_hard_limit_together(fresh_url: URL) -> None:
    clock = ManualClock(START)
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        made = await a_budget(owner, amount_usd="0.33")

        async def spend_by(service: Service, prefix: str) -> list[int]:
            async with service.client(owner.token) as client:
                answers = await asyncio.gather(
                    *(client.post(ENFORCED, json=call(f"{prefix}{n}")) for n in range(30))
                )
            return [answer.status_code for answer in answers]

        found = await asyncio.gather(spend_by(one, "one"), spend_by(two, "two"))
        codes = [code for part in found for code in part]
        assert codes.count(201) == 20, codes
        assert codes.count(402) == 40, codes
        assert (await state(owner, made))["spent_usd"] == "0.33"


async def busy(client: httpx.AsyncClient, stop: asyncio.Event, prefix: str) -> int:
    sent = 0
    while not stop.is_set():
        answer = await client.post(EVENTS, json=call(f"{prefix}-{sent}"))
        assert answer.status_code == 201, answer.text
        sent += 1
    return sent


async def budgets_made_meanwhile(url: URL) -> tuple[Decimal, set[str]]:
    """What was spent while budgets were made, and what each of them says was."""
    async with running(url, ManualClock(START)) as service:
        owner = await an_owner(service)
        stop = asyncio.Event()
        spenders = [
            asyncio.create_task(busy(service.client(owner.token), stop, f"s{n}")) for n in range(6)
        ]
        made = []
        for number in range(12):
            made.append(await a_budget(owner, name=f"b{number}", amount_usd="1000"))
            await asyncio.sleep(0.02)
        stop.set()
        total = sum(await asyncio.gather(*spenders)) * COST
        return total, {(await state(owner, each))["spent_usd"] for each in made}


async def test_a_budget_made_while_others_spend_counts_exactly(fresh_url: URL) -> None:
    total, seen = await budgets_made_meanwhile(fresh_url)
    assert {Decimal(each) for each in seen} == {total}


async def test_without_the_gate_it_misses_some(
    fresh_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.usage.repository.spend.ALONE", "select usage_gate(:organization_id)")
    total, seen = await budgets_made_meanwhile(fresh_url)
    assert {Decimal(each) for each in seen} != {total}


async def test_organizations_without_budgets_have_no_rows_of_spending(service: Service) -> None:
    owner = await an_owner(service)
    await owner.client.post(EVENTS, json=call("a"))
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.scalar(
            text("select count(*) from spend where organization_id = :id"),
            {"id": owner.organization_id},
        )
    assert rows == 0
    assert gate.GATES == 64


async def test_money_spent_elsewhere_is_refused_when_asked(service: Service) -> None:
    owner = await an_owner(service)
    await a_budget(owner, amount_usd="5")
    await spend(owner, "a", "4")
    refused = await owner.client.post(
        f"{BUDGETS}/spend?enforce=true", json={"id": "b", "amount_usd": "1.01"}
    )
    assert (refused.status_code, refused.json()["code"]) == (402, "budget_exceeded")
    assert refused.json()["requested"] == "1.01"
    fits = await owner.client.post(
        f"{BUDGETS}/spend?enforce=true", json={"id": "b", "amount_usd": "1"}
    )
    assert fits.status_code == 201, fits.text


async def test_spending_voiding_and_changing_budgets_at_once_ends_in_step(fresh_url: URL) -> None:
    """Everybody locks in one order: no call fails, and every budget has seen what is left."""
    clock = ManualClock(START)
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        made = [
            await a_budget(owner, name=f"b{number}", amount_usd="100", **fields)
            for number, fields in enumerate(
                (
                    {},
                    {"period": "daily"},
                    {"scope": "workspace", "subject": "red"},
                    {"scope": "model", "subject": "claude-sonnet-4", "period": "total"},
                )
            )
        ]

        async def work(service: Service, prefix: str) -> None:
            async with service.client(owner.token) as client:
                for number in range(12):
                    name = f"{prefix}-{number}"
                    rows = [
                        call(f"{name}-{row}", workspace="red" if row % 2 else "blue")
                        for row in range(4)
                    ]
                    query = "?enforce=true" if number % 2 else ""
                    answer = await client.post(f"{EVENTS}/batch{query}", json={"events": rows})
                    assert answer.json()["recorded"] == 4, answer.text
                    answer = await client.post(f"{EVENTS}/{name}-1/void", json={"reason": "x"})
                    assert answer.status_code == 200, answer.text
                    path = f"{BUDGETS}/{made[number % 4]['id']}"
                    answer = await client.patch(path, json={"amount_usd": str(100 + number)})
                    assert answer.status_code == 200, answer.text

        await asyncio.gather(
            *(work(service, f"{n}") for n, service in enumerate((one, two, one, two)))
        )
        found = [Decimal((await state(owner, each))["spent_usd"]) for each in made]
        left = 4 * 12 * 3
        assert found == [left * COST, left * COST, left // 3 * COST, left * COST]
        assert await broken_at(fresh_url) == {}
