"""Budgets over HTTP: made once, changed with a trace, and nobody else's business."""

from typing import Any

import pytest

from app.audit.service import AuditLog
from app.kernel.pages import PageRequest
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

BUDGETS = "/api/v1/budgets"
EVENTS = "/api/v1/usage/events"
COST = "0.0165"


async def a_budget(owner: Owner, **fields: Any) -> dict[str, Any]:
    body = {"name": "Engineering", "amount_usd": "10", **fields}
    answer = await owner.client.post(BUDGETS, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def spend(owner: Owner, key: str, amount: str, **fields: Any) -> dict[str, Any]:
    body = {"id": key, "amount_usd": amount, **fields}
    answer = await owner.client.post(f"{BUDGETS}/spend", json=body)
    assert answer.status_code == 201, answer.text
    recorded: dict[str, Any] = answer.json()
    return recorded


async def trail(service: Service, owner: Owner) -> list[tuple[str, Any, Any, str | None]]:
    """What the audit log says of budgets, oldest first."""
    page = await service.services[AuditLog].list_for_organization(
        owner.organization_id, PageRequest(100)
    )
    return [
        (entry.action, entry.before, entry.after, entry.reason)
        for entry in reversed(page.items)
        if entry.action.startswith("budgets.")
    ]


async def test_a_budget_says_what_it_is_and_where_it_stands(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    assert made["id"].startswith("bud_")
    expected = {
        "name": "Engineering",
        "scope": "organization",
        "subject": None,
        "period": "monthly",
        "amount_usd": "10",
        "thresholds": [
            {"fraction": "0.5", "action": "notify"},
            {"fraction": "0.75", "action": "warn"},
            {"fraction": "0.9", "action": "soft_limit"},
            {"fraction": "1", "action": "hard_limit"},
        ],
        "auto_suspend": False,
        "period_start": "2026-11-01T00:00:00Z",
        "period_end": "2026-12-01T00:00:00Z",
        "spent_usd": "0",
        "held_usd": "0",
        "remaining_usd": "10",
        "is_suspended": False,
    }
    assert expected.items() <= made.items()
    assert (await owner.client.get(f"{BUDGETS}/{made['id']}")).json() == made
    assert (await owner.client.get(BUDGETS)).json()["data"] == [made]


async def test_the_same_idempotency_key_makes_one_budget(service: Service) -> None:
    owner = await an_owner(service)
    body = {"name": "Once", "amount_usd": "5", "scope": "workspace", "subject": "red"}
    headers = {"Idempotency-Key": "once"}
    first = await owner.client.post(BUDGETS, json=body, headers=headers)
    again = await owner.client.post(BUDGETS, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len((await owner.client.get(BUDGETS)).json()["data"]) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "workspace"},
        {"scope": "organization", "subject": "red"},
        {"scope": "api_key", "subject": "not-a-key"},
        {"amount_usd": "-1"},
        {"amount_usd": "NaN"},
        {"period": "hourly"},
        {"thresholds": [{"fraction": "0", "action": "warn"}]},
        {"thresholds": [{"fraction": "0.5", "action": "explode"}]},
        {
            "thresholds": [
                {"fraction": "0.5", "action": "warn"},
                {"fraction": "0.50", "action": "notify"},
            ]
        },
        {"surprise": 1},
    ],
)
async def test_what_is_no_budget_is_refused(service: Service, fields: dict[str, Any]) -> None:
    owner = await an_owner(service)
    body = {"name": "Engineering", "amount_usd": "10", **fields}
    answer = await owner.client.post(BUDGETS, json=body)
    assert answer.status_code == 422, answer.text


async def test_a_change_keeps_what_was_spent_and_what_was_not_named(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    await spend(owner, "a", "4")
    answer = await owner.client.patch(f"{BUDGETS}/{made['id']}", json={"amount_usd": "20.50"})
    assert answer.status_code == 200, answer.text
    changed = answer.json()
    assert changed["amount_usd"] == "20.5"
    assert changed["spent_usd"] == "4"
    assert changed["remaining_usd"] == "16.5"
    same = ("name", "scope", "period", "thresholds", "auto_suspend", "created_at")
    assert {name: changed[name] for name in same} == {name: made[name] for name in same}
    empty = await owner.client.patch(f"{BUDGETS}/{made['id']}", json={})
    assert empty.json() == changed


async def test_a_stranger_finds_no_budget(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    made = await a_budget(owner)
    await owner.client.put("/api/v1/debates/d-1/budget", json={"amount_usd": "1"})
    path = f"{BUDGETS}/{made['id']}"
    override = await owner.client.post(
        f"{path}/overrides", json={"duration_hours": 1, "reason": "a demo"}
    )
    client = stranger.client
    answers = [
        await client.get(path),
        await client.patch(path, json={"amount_usd": "1"}),
        await client.delete(path),
        await client.post(f"{path}/suspend"),
        await client.post(f"{path}/resume"),
        await client.get(f"{path}/overrides"),
        await client.post(f"{path}/overrides", json={"duration_hours": 1, "reason": "mine"}),
        await client.delete(f"{path}/overrides/{override.json()['id']}"),
        await client.get("/api/v1/debates/d-1/budget"),
        await client.delete("/api/v1/debates/d-1/budget"),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert (await client.get(BUDGETS)).json()["data"] == []
    assert (await client.get(f"{BUDGETS}/alerts")).json()["data"] == []
    checked = await client.post(f"{BUDGETS}/check", json={"amount_usd": "100"})
    assert checked.json() == {"allowed": True, "reason": None, "budgets": []}
    assert (await owner.client.get(path)).json() == made


async def test_a_debate_has_one_budget(service: Service) -> None:
    owner = await an_owner(service)
    path = "/api/v1/debates/debate-123/budget"
    assert (await owner.client.get(path)).status_code == 404
    first = await owner.client.put(path, json={"amount_usd": "10"})
    assert first.status_code == 200, first.text
    assert first.json()["scope"] == "debate"
    assert first.json()["subject"] == "debate-123"
    assert first.json()["period_end"] is None
    await spend(owner, "a", "0.45", debate_id="debate-123")
    await spend(owner, "b", "0.45", debate_id="debate-124")
    second = await owner.client.put(path, json={"amount_usd": "12"})
    assert second.json()["id"] == first.json()["id"]
    assert (second.json()["amount_usd"], second.json()["spent_usd"]) == ("12", "0.45")
    clash = await owner.client.post(
        BUDGETS,
        json={
            "name": "x",
            "amount_usd": "1",
            "scope": "debate",
            "subject": "debate-123",
            "period": "total",
        },
    )
    assert (clash.status_code, clash.json()["code"]) == (409, "debate_has_budget")
    assert (await owner.client.delete(path)).status_code == 204
    assert (await owner.client.delete(path)).status_code == 404
    # Made again, it begins with what the debate has spent.
    third = await owner.client.put(path, json={"amount_usd": "10"})
    assert third.json()["spent_usd"] == "0.45"


async def test_spending_is_recorded_once_for_its_id(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    first = await spend(owner, "rent", "3.00", workspace="red", description="GPU rent")
    assert first["status"] == "recorded"
    assert [budget["spent_usd"] for budget in first["budgets"]] == ["3"]
    body = {"id": "rent", "amount_usd": "3", "workspace": "red", "description": "GPU rent"}
    again = await owner.client.post(f"{BUDGETS}/spend", json=body)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["event_id"] == first["event_id"]
    other = await owner.client.post(f"{BUDGETS}/spend", json={**body, "amount_usd": "4"})
    assert (other.status_code, other.json()["code"]) == (409, "event_conflict")
    nameless = await owner.client.post(f"{BUDGETS}/spend", json={"amount_usd": "1"})
    assert (nameless.status_code, nameless.json()["code"]) == (422, "event_id_missing")
    assert (await owner.client.get(f"{BUDGETS}/{made['id']}")).json()["spent_usd"] == "3"
    # It is a usage event like any other: in summaries, in breakdowns, and it can be voided.
    costs = (await owner.client.get("/api/v1/costs/breakdown")).json()
    assert costs["total_cost_usd"] == "3"
    assert costs["cost_by_workspace"] == {"red": "3"}
    voided = await owner.client.post(f"{EVENTS}/rent/void", json={"reason": "never delivered"})
    assert voided.status_code == 200, voided.text
    assert (await owner.client.get(f"{BUDGETS}/{made['id']}")).json()["spent_usd"] == "0"


async def test_every_change_is_audited_with_before_and_after(service: Service) -> None:
    owner = await an_owner(service)
    made = await a_budget(owner)
    path = f"{BUDGETS}/{made['id']}"
    await owner.client.patch(path, json={"amount_usd": "12", "name": "Platform"})
    await owner.client.patch(path, json={"amount_usd": "12.00"})
    await owner.client.post(f"{path}/suspend", json={"reason": "a leaked key"})
    await owner.client.post(f"{path}/resume")
    body = {"user_id": "u", "until": "2026-11-22T00:00:00Z", "reason": "a demo"}
    override = (await owner.client.post(f"{path}/overrides", json=body)).json()["id"]
    await owner.client.delete(f"{path}/overrides/{override}")
    await owner.client.delete(path)
    found = await trail(service, owner)
    granted = {"id": override, "user_id": "u", "until": "2026-11-22T00:00:00+00:00"}
    assert [entry[0] for entry in found] == [
        "budgets.created",
        "budgets.changed",
        "budgets.suspended",
        "budgets.resumed",
        "budgets.override_granted",
        "budgets.override_ended",
        "budgets.deleted",
    ]
    assert found[0][1:3] == (None, found[0][2])
    assert found[0][2]["amount_usd"] == "10"
    assert found[1][1:3] == (
        {"name": "Engineering", "amount_usd": "10"},
        {"name": "Platform", "amount_usd": "12"},
    )
    assert found[2][3] == "a leaked key"
    assert found[4][2:] == (granted, "a demo")
    assert found[5][1] == granted
    assert found[6][1]["name"] == "Platform"


async def test_who_may_only_look_changes_nothing(service: Service) -> None:
    owner = await an_owner(service, "professional")
    made = await a_budget(owner)
    body = {"name": "reader", "scopes": ["budgets.read"]}
    key = (await owner.client.post("/api/v1/auth/api-keys", json=body)).json()["key"]
    async with service.client(**{"X-API-Key": key}) as reader:
        path = f"{BUDGETS}/{made['id']}"
        assert (await reader.get(path)).status_code == 200
        refused = [
            await reader.post(BUDGETS, json={"name": "x", "amount_usd": "1"}),
            await reader.patch(path, json={"amount_usd": "1"}),
            await reader.delete(path),
            await reader.post(f"{path}/suspend"),
            await reader.post(f"{path}/overrides", json={"reason": "mine"}),
            await reader.put("/api/v1/debates/d/budget", json={"amount_usd": "1"}),
            await reader.post(f"{BUDGETS}/spend", json={"id": "a", "amount_usd": "1"}),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert (await owner.client.get(f"{BUDGETS}/{made['id']}")).json() == made


async def test_a_subject_has_only_so_many_budgets(service: Service) -> None:
    owner = await an_owner(service)
    for number in range(20):
        await a_budget(owner, name=f"b{number}")
    answer = await owner.client.post(BUDGETS, json={"name": "more", "amount_usd": "1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_budgets")
    await a_budget(owner, scope="workspace", subject="red")
    first = await owner.client.get(f"{BUDGETS}?limit=15")
    second = await owner.client.get(f"{BUDGETS}?limit=15&cursor={first.json()['next_cursor']}")
    names = [row["name"] for row in first.json()["data"] + second.json()["data"]]
    assert len(set(names)) == 21
    only = await owner.client.get(f"{BUDGETS}?scope=workspace")
    assert [row["subject"] for row in only.json()["data"]] == ["red"]
