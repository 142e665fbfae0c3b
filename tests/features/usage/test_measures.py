"""Limits on metrics that are no sums: the largest value, the latest one, different ones."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.factories.people import Owner, an_owner, grant_plan
from tests.support.recount import broken
from tests.support.service import Service, running

EVENTS = "/api/v1/usage/events"
ENFORCED = f"{EVENTS}?enforce=true"

# `visit` is counted and its people are, so one event is held to two limits of two kinds.
CATALOG = """\
name: measures
window: calendar_month
default_plan: small
metrics:
  peak: {unit: seat, aggregation: max}
  level: {unit: gigabyte, aggregation: latest}
  visits: {unit: visit, event: visit, aggregation: count}
  visitors: {unit: person, aggregation: unique, unique_field: user_id, counts: [visits]}
  people: {unit: person, aggregation: unique, unique_field: user_id}
  tasks: {unit: task, event: task}
plans:
  - key: small
    name: Small
    seats: 1
    prices: [{interval: month, amount: 0}]
    limits: {peak: 10, level: 10, people: 3, visitors: 3, visits: 6, tasks: 5}
  - key: soft
    name: Soft
    seats: 1
    prices: [{interval: month, amount: 1000}]
    limits:
      peak: {limit: 10, policy: soft}
      level: {limit: 10, policy: overage}
      people: {limit: 3, policy: soft}
      visits: {limit: 6, policy: overage}
  - key: large
    name: Large
    seats: 1
    prices: [{interval: month, amount: 2000}]
    limits: {peak: 100, level: 100, people: 30, visitors: 30, visits: 60}
"""


@pytest.fixture(scope="module")
async def measuring(
    postgres: URL, database_url: URL, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Service]]:
    """Two instances on one database, with that catalog."""
    from tests.support import database

    path: Path = tmp_path_factory.mktemp("catalog") / "measures.yaml"
    path.write_text(CATALOG)
    name = f"{database.TEMPLATE}_{new_id().hex}"
    url = await database.clone(postgres, name)
    clock = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
    async with (
        running(url, clock, catalog=str(path)) as one,
        running(url, clock, catalog=str(path)) as two,
    ):
        yield [one, two]
    await database.drop(postgres, name)


async def send(client: httpx.AsyncClient, path: str = ENFORCED, **event: Any) -> httpx.Response:
    answer = await client.post(path, json={"id": new_id().hex, **event})
    assert answer.status_code in (200, 201, 402), answer.text
    return answer


async def quotas(owner: Owner) -> dict[str, dict[str, Any]]:
    answer = await owner.client.get("/api/v1/billing/quota")
    return {row["metric"]: row for row in answer.json()["data"]}


async def used(owner: Owner, metric: str) -> Any:
    return (await quotas(owner))[metric]["used"]


@pytest.mark.parametrize("kind", ["peak", "level"])
async def test_a_value_above_the_limit_is_refused_and_any_other_passes(
    measuring: list[Service], kind: str
) -> None:
    owner = await an_owner(measuring[0])
    start = measuring[0].clock.now() - timedelta(hours=1)
    sent: Sequence[tuple[Any, int]] = (
        (7, 201),
        (11, 402),
        (10, 201),
        ("10.001", 402),
        (3, 201),
        (10, 201),
    )
    for number, (value, status) in enumerate(sent):
        at = (start + timedelta(minutes=number)).isoformat()
        answer = await send(owner.client, type=kind, quantity=value, occurred_at=at)
        assert answer.status_code == status, (value, answer.text)
        if status == 201:
            quota = answer.json()["quota"]
            expected = value if kind == "level" else max(7, int(value), int(quota["used"]))
            assert (quota["metric"], quota["limit"], quota["used"]) == (kind, 10, expected)
        else:
            body = answer.json()
            assert (body["code"], body["metric"], body["limit"]) == ("quota_exceeded", kind, 10)
            assert body["requested"] == value
            assert body["upgrade_to"] == "soft"
    # It happened, so it is recorded when nobody asks for the limit to hold.
    recorded = await send(owner.client, EVENTS, type=kind, quantity=40)
    assert recorded.json()["quota"]["used"] == 40
    assert recorded.json()["quota"]["remaining"] == 0
    assert (await send(owner.client, type=kind, quantity=9)).status_code == 201
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_a_new_value_beyond_the_limit_is_refused_and_a_seen_one_passes(
    measuring: list[Service],
) -> None:
    owner = await an_owner(measuring[0])
    for user, status in (
        ("ann", 201),
        ("bob", 201),
        ("ann", 201),
        ("eve", 201),
        ("joe", 402),
        ("bob", 201),
    ):
        answer = await send(owner.client, type="people", user_id=user)
        assert answer.status_code == status, (user, answer.text)
    assert await used(owner, "people") == 3
    # An event without the field counts nothing, so it fits.
    assert (await send(owner.client, type="people")).status_code == 201
    assert await used(owner, "people") == 3
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_a_voided_value_makes_room(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    for user in ("ann", "bob", "eve", "eve"):
        answer = await send(owner.client, type="people", user_id=user)
    gone = answer.json()["id"]
    assert (await send(owner.client, type="people", user_id="joe")).status_code == 402
    await owner.client.post(f"{EVENTS}/{gone}/void", json={"reason": "twice"})
    assert (await send(owner.client, type="people", user_id="joe")).status_code == 402
    events = (await owner.client.get(EVENTS)).json()["data"]
    for event in events:
        if event["user_id"] == "eve":
            await owner.client.post(f"{EVENTS}/{event['id']}/void", json={"reason": "gone"})
    assert (await send(owner.client, type="people", user_id="joe")).status_code == 201
    assert (await send(owner.client, type="people", user_id="eve")).status_code == 402
    assert await used(owner, "people") == 3
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_one_event_is_held_to_all_its_limits_or_counts_nowhere(
    measuring: list[Service],
) -> None:
    owner = await an_owner(measuring[0])
    rows = [
        {"id": f"v{number}", "type": "visit", "user_id": f"u{number % 5}"} for number in range(10)
    ]
    answer = await owner.client.post(f"{EVENTS}/batch?enforce=true", json={"events": rows})
    recorded = [row["id"] for row in answer.json()["results"] if row["status"] == "recorded"]
    # u3 and u4 are a fourth and a fifth person; the rest are six visits.
    assert recorded == ["v0", "v1", "v2", "v5", "v6", "v7"]
    assert (await used(owner, "visits"), await used(owner, "visitors")) == (6, 3)
    refused = await send(owner.client, type="visit", user_id="u0")
    assert (refused.status_code, refused.json()["metric"]) == (402, "visits")
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_a_repeat_is_a_repeat_however_full_it_is(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    event = {"id": "same", "type": "people", "user_id": "joe"}
    assert (await owner.client.post(EVENTS, json=event)).status_code == 201
    for user in ("ann", "bob", "eve"):
        await send(owner.client, EVENTS, type="people", user_id=user)
    assert await used(owner, "people") == 4
    again = await owner.client.post(ENFORCED, json=event)
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    high = {"id": "high", "type": "peak", "quantity": 99}
    assert (await owner.client.post(ENFORCED, json=high)).status_code == 402
    assert (await owner.client.post(EVENTS, json=high)).status_code == 201
    assert (await owner.client.post(ENFORCED, json=high)).status_code == 200
    assert await broken(measuring[0], owner.organization_id) == {}


@pytest.mark.parametrize("policy", ["soft", "overage"])
async def test_what_is_not_hard_is_counted_and_shown(measuring: list[Service], policy: str) -> None:
    owner = await an_owner(measuring[0])
    await grant_plan(measuring[0], owner.organization_id, "soft")
    kind, metric = {"soft": ("people", "people"), "overage": ("level", "level")}[policy]
    for number in range(5):
        answer = await send(owner.client, type=kind, quantity=12 + number, user_id=f"u{number}")
        assert answer.status_code == 201, answer.text
    quota = (await quotas(owner))[metric]
    assert (quota["policy"], quota["remaining"]) == (policy, 0)
    assert quota["used"] == (5 if policy == "soft" else 16)
    check = await owner.client.post("/api/v1/usage/check", json={"metric": metric, "quantity": 50})
    assert check.json()["allowed"] is True


async def test_the_check_speaks_of_levels_and_of_new_values(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    await send(owner.client, type="peak", quantity=8)
    await send(owner.client, type="people", user_id="ann")
    for metric, quantity, allowed in (
        ("peak", 10, True),
        ("peak", 11, False),
        ("people", 2, True),
        ("people", 3, False),
    ):
        body = {"metric": metric, "quantity": quantity}
        answer = (await owner.client.post("/api/v1/usage/check", json=body)).json()
        assert answer["allowed"] is allowed, (metric, quantity)


async def test_used_stays_and_the_limit_moves(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    await grant_plan(measuring[0], owner.organization_id, "large")
    for number in range(9):
        await send(owner.client, type="people", user_id=f"u{number}")
    await send(owner.client, type="peak", quantity=60)
    await grant_plan(measuring[0], owner.organization_id, "small")
    quota = await quotas(owner)
    assert [quota[name]["used"] for name in ("people", "peak")] == [9, 60]
    assert [quota[name]["remaining"] for name in ("people", "peak")] == [0, 0]
    assert (await send(owner.client, type="people", user_id="new")).status_code == 402
    assert (await send(owner.client, type="people", user_id="u5")).status_code == 201
    assert (await send(owner.client, type="peak", quantity=11)).status_code == 402
    assert (await send(owner.client, type="peak", quantity=10)).status_code == 201


async def test_a_hundred_new_people_at_once_for_three_places(measuring: list[Service]) -> None:
    """Each of fifty people comes twice, through both instances; three of them get in."""
    owner = await an_owner(measuring[0])
    clients = [owner.client, measuring[1].client(owner.token)]
    answers = await asyncio.gather(
        *(
            send(clients[number % 2], type="people", user_id=f"u{number // 2}")
            for number in range(100)
        )
    )
    within = {number // 2 for number, answer in enumerate(answers) if answer.status_code == 201}
    assert len(within) == 3
    assert await used(owner, "people") == 3
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_of_two_levels_of_one_instant_the_order_does_not_matter(
    measuring: list[Service],
) -> None:
    at = (measuring[0].clock.now() - timedelta(minutes=3)).isoformat()
    late = (measuring[0].clock.now() - timedelta(minutes=9)).isoformat()
    for values in ((4, 6), (6, 4)):
        owner = await an_owner(measuring[0])
        for value in values:
            await send(owner.client, type="level", quantity=value, occurred_at=at)
        await send(owner.client, type="level", quantity=9, occurred_at=late)
        assert await used(owner, "level") == 6


async def test_a_level_comes_back_after_everything_was_voided(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    for kind in ("level", "peak"):
        first = (await send(owner.client, type=kind, quantity=7)).json()["id"]
        await owner.client.post(f"{EVENTS}/{first}/void", json={"reason": "wrong"})
        assert await used(owner, kind) == 0
        await send(owner.client, type=kind, quantity=5)
        assert await used(owner, kind) == 5
    assert await broken(measuring[0], owner.organization_id) == {}


async def test_flushes_and_voids_never_wait_in_a_circle(measuring: list[Service]) -> None:
    owner = await an_owner(measuring[0])
    clients = [owner.client, measuring[1].client(owner.token)]
    kinds = ("peak", "level", "people", "visit")
    names: list[str] = []

    async def record(number: int) -> None:
        rows = [
            {
                "id": f"{number}-{row}",
                "type": kinds[(number + row) % 4],
                "quantity": row,
                "user_id": f"u{row % 3}",
            }
            for row in range(12)
        ]
        answer = await clients[number % 2].post(f"{EVENTS}/batch", json={"events": rows})
        assert answer.json()["errors"] == 0, answer.text
        names.extend(f"{number}-{row}" for row in range(12))

    async def void(name: str, number: int) -> None:
        path = f"{EVENTS}/{name}/void"
        answer = await clients[number % 2].post(path, json={"reason": "r"})
        assert answer.status_code == 200, answer.text

    await asyncio.gather(*(record(number) for number in range(8)))
    await asyncio.gather(
        *(record(number) for number in range(8, 24)),
        *(void(name, number) for number, name in enumerate(names[:40])),
    )
    async with measuring[0].work.begin_platform() as session:
        deadlocks = await session.scalar(
            text("select deadlocks from pg_stat_database where datname = current_database()")
        )
    assert deadlocks == 0
    assert await broken(measuring[0], owner.organization_id) == {}


rows = st.tuples(
    st.sampled_from(["peak", "level", "people", "visit", "task"]),
    st.decimals(0, 14, places=1),
    st.integers(0, 5),
    st.integers(0, 4),
    st.booleans(),
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(rows, min_size=1, max_size=30), st.integers(1, 10))
async def test_a_hard_limit_holds_and_refuses_no_more_than_it_must(
    measuring: list[Service], sent: list[tuple[str, Decimal, int, int, bool]], at_once: int
) -> None:
    """Sent in batches of any size, some enforced, against a model that takes one at a time."""
    owner = await an_owner(measuring[0])
    limits = {"peak": 10, "level": 10, "people": 3, "visits": 6, "tasks": 5}
    seen: dict[str, set[int]] = {"people": set(), "visit": set()}
    visits, tasks = 0, Decimal(0)
    now = measuring[0].clock.now()
    for start in range(0, len(sent), at_once):
        batch = sent[start : start + at_once]
        # Within one statement what is enforced is granted first: then facts may pass the limit.
        enforce = batch[0][4]
        answer = await owner.client.post(
            f"{EVENTS}/batch?enforce={'true' if enforce else 'false'}",
            json={
                "events": [
                    {
                        "id": f"{start}-{number}",
                        "type": kind,
                        "quantity": str(quantity),
                        "user_id": f"u{user}",
                        "occurred_at": (now - timedelta(minutes=minutes)).isoformat(),
                    }
                    for number, (kind, quantity, user, minutes, _) in enumerate(batch)
                ]
            },
        )
        for row, (kind, quantity, user, _, _) in zip(answer.json()["results"], batch, strict=True):
            fits = True
            if kind in {"peak", "level"}:
                fits = quantity <= limits[kind]
            if kind in {"people", "visit"}:
                fits = user in seen[kind] or len(seen[kind]) + 1 <= limits["people"]
            if kind == "visit":
                fits = fits and visits + 1 <= limits["visits"]
            if kind == "task":
                fits = tasks + quantity <= limits["tasks"]
            assert (row["status"] == "recorded") is (fits or not enforce), (row, kind)
            if row["status"] == "recorded":
                if kind in {"people", "visit"}:
                    seen[kind].add(user)
                visits += kind == "visit"
                tasks += quantity if kind == "task" else 0
    assert await broken(measuring[0], owner.organization_id) == {}
