"""Voids, later prices, and the law: sums equal what the raw rows add up to, in any order."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from app.audit.models import AuditEntry
from app.kernel.ids import new_id
from app.pricing.domain import NewPrice, TokenRole
from app.pricing.service import PriceService
from app.usage.service.corrections import UsageCorrections
from tests.factories.people import Owner, an_owner
from tests.support.recount import broken
from tests.support.service import Service

EVENTS = "/api/v1/usage/events"
BATCH = "/api/v1/usage/events/batch"


async def get(owner: Owner, path: str, **params: str) -> dict[str, Any]:
    answer = await owner.client.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_voided_event_counts_for_nothing(service: Service) -> None:
    owner = await an_owner(service)
    event = {
        "type": "debate",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_in": 1000,
        "agent": "critic",
        "workspace": "w",
    }
    for name in ("kept", "gone"):
        await owner.client.post(EVENTS, json={"id": name, **event})
    voided = await owner.client.post(f"{EVENTS}/gone/void", json={"reason": "sent twice"})
    assert voided.status_code == 200, voided.text
    assert voided.json()["void_reason"] == "sent twice"
    assert voided.json()["voided_at"] == "2026-11-21T09:00:00Z"
    total = await get(owner, "/usage/summary")
    assert (total["total_events"], total["total_cost_usd"]) == (1, "0.0025")
    costs = await get(owner, "/costs/breakdown")
    assert costs["cost_by_agent"] == {"critic": "0.0025"}
    quotas = await get(owner, "/billing/quota")
    assert next(row for row in quotas["data"] if row["metric"] == "debates")["used"] == 1
    # The row and its key stay: it cannot come again, and it cannot be voided twice.
    repeat = await owner.client.post(EVENTS, json={"id": "gone", **event})
    assert repeat.json()["status"] == "duplicate"
    again = await owner.client.post(f"{EVENTS}/gone/void", json={"reason": "another"})
    assert (again.status_code, again.json()["void_reason"]) == (200, "sent twice")
    assert await broken(service, owner.organization_id) == {}
    async with service.work.begin(owner.organization_id) as session:
        entries = (
            await session.scalars(
                select(AuditEntry).where(
                    AuditEntry.organization_id == owner.organization_id,
                    AuditEntry.action == "usage.voided",
                )
            )
        ).all()
    assert [(entry.reason, entry.actor) for entry in entries] == [
        ("sent twice", f"user:{owner.user_id}")
    ]


async def test_two_voids_at_once_take_back_once(service: Service) -> None:
    owner = await an_owner(service)
    await owner.client.post(EVENTS, json={"id": "a", "type": "debate"})
    await owner.client.post(EVENTS, json={"id": "b", "type": "debate"})
    answers = await asyncio.gather(
        *(owner.client.post(f"{EVENTS}/a/void", json={"reason": "r"}) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert (await get(owner, "/usage/summary"))["total_events"] == 1
    assert await broken(service, owner.organization_id) == {}


async def test_another_organizations_event_is_not_found(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    sent = await owner.client.post(EVENTS, json={"id": "mine", "type": "debate"})
    for name in ("mine", sent.json()["event_id"], "evt_nonsense", "no such"):
        path = f"{EVENTS}/{name}"
        for answer in (
            await stranger.client.get(path),
            await stranger.client.post(f"{path}/void", json={"reason": "r"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "usage_event_not_found")
    for name in ("mine", sent.json()["event_id"]):
        assert (await owner.client.get(f"{EVENTS}/{name}")).json()["id"] == "mine"


async def test_a_price_that_is_added_prices_what_waited(service: Service) -> None:
    owner = await an_owner(service)
    model = f"model-{new_id().hex}"
    rows: list[dict[str, Any]] = [
        {
            "id": f"n{number}",
            "type": "tokens",
            "provider": "acme",
            "model": model,
            "tokens_in": 1_000,
            "cached_tokens": 100,
            "tokens_out": number,
            "agent": f"a{number % 3}",
            "occurred_at": (service.clock.now() - timedelta(hours=number)).isoformat(),
        }
        for number in range(450)
    ]
    await owner.client.post(BATCH, json={"events": rows})
    await owner.client.post(f"{EVENTS}/n7/void", json={"reason": "never happened"})
    month = {"since": "2026-10-20T00:00:00Z", "until": "2026-12-01T00:00:00Z"}
    assert (await get(owner, "/usage/summary", **month))["unpriced_events"] == 449
    long_ago = service.clock.now() - timedelta(days=100)
    prices = service.services[PriceService]
    await prices.add(
        [
            NewPrice("acme", model, TokenRole.INPUT, Decimal("1.1"), long_ago),
            NewPrice("acme", model, TokenRole.OUTPUT, Decimal("3.3"), long_ago),
        ]
    )
    await service.drain()
    total = await get(owner, "/usage/summary", **month)
    assert total["unpriced_events"] == 0
    exact = sum(
        (900 * Decimal("1.1") + 100 * Decimal("0.11") + number * Decimal("3.3")) / 1_000_000
        for number in range(450)
        if number != 7
    )
    assert Decimal(total["total_cost_usd"]) == exact
    assert await broken(service, owner.organization_id) == {}
    event = await get(owner, "/usage/events/n3")
    assert event["price_source"] == "book"
    assert len(event["price_ids"]) == 2
    async with service.work.begin(owner.organization_id) as session:
        entries = (
            await session.scalars(
                select(AuditEntry).where(
                    AuditEntry.organization_id == owner.organization_id,
                    AuditEntry.action == "usage.priced",
                )
            )
        ).all()
    assert sum(entry.after["events"] for entry in entries if entry.after) == 449
    # Nothing is left to do, and what has a price keeps it.
    assert await service.services[UsageCorrections].price_waiting() == 0


async def test_a_cost_never_rests_on_an_outdated_book(service: Service) -> None:
    """Prices that another process adds are noticed by the statement that stores the cost."""
    owner = await an_owner(service)
    model = f"model-{new_id().hex}"
    prices = service.services[PriceService]
    stale = prices.book
    at = service.clock.now()
    await prices.add([NewPrice("acme", model, TokenRole.INPUT, Decimal(8), at)])
    prices._book = stale
    sent = await owner.client.post(
        EVENTS,
        json={"id": "a", "type": "tokens", "provider": "acme", "model": model, "tokens_in": 500},
    )
    assert sent.json()["cost_usd"] == "0.004"


async def test_lists_and_filters(service: Service) -> None:
    owner = await an_owner(service)
    start = service.clock.now()
    rows: list[dict[str, Any]] = [
        {
            "id": f"n{number}",
            "type": "debate" if number % 2 else "api_call",
            "agent": f"a{number % 3}",
            "model": "gpt-4o",
            "occurred_at": (start - timedelta(minutes=number)).isoformat(),
            "metadata": {"number": number},
        }
        for number in range(30)
    ]
    await owner.client.post(BATCH, json={"events": rows})
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(owner, "/usage/events", limit="7", **cursor)
        names += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert names == [f"n{number}" for number in range(30)]
    first = page = (await get(owner, "/usage/events", limit="1"))["data"][0]
    assert first["metadata"] == {"number": 0}

    async def found(**params: str) -> list[int]:
        body = await get(owner, "/usage/events", limit="100", **params)
        return [int(row["id"][1:]) for row in body["data"]]

    assert await found(type="debate") == list(range(1, 30, 2))
    assert await found(agent="a1", type="api_call") == [4, 10, 16, 22, 28]
    since = (start - timedelta(minutes=5)).isoformat()
    until = (start - timedelta(minutes=2)).isoformat()
    assert await found(since=since, until=until) == [3, 4, 5]
    assert await found(model="gpt-5") == []


async def test_timeseries_and_breakdown(service: Service) -> None:
    owner = await an_owner(service)
    rows = [
        {
            "id": f"n{number}",
            "type": "tokens",
            "provider": "openai",
            "model": ("gpt-4o", "gpt-4o-mini")[number % 2],
            "tokens_in": 1_000_000,
            "agent": f"a{number % 2}",
            "user_id": "u",
            "debate_id": "d",
            "workspace": "w",
            "occurred_at": (service.clock.now() - timedelta(hours=6 * number)).isoformat(),
        }
        for number in range(12)
    ]
    await owner.client.post(BATCH, json={"events": rows})
    wide = {"since": "2026-11-18T00:00:00Z", "until": "2026-11-22T00:00:00Z"}
    for granularity, buckets in (("hour", 12), ("day", 4), ("week", 1), ("month", 1)):
        for group_by, groups in (
            (None, {None: 12}),
            ("type", {"tokens": 12}),
            ("provider", {"openai": 12}),
            ("model", {"gpt-4o": 6, "gpt-4o-mini": 6}),
            ("agent", {"a0": 6, "a1": 6}),
            ("workspace", {"w": 12}),
            ("user", {"u": 12}),
        ):
            extra = {} if group_by is None else {"group_by": group_by}
            found = await get(owner, "/usage/timeseries", granularity=granularity, **wide, **extra)
            assert len({point["start"] for point in found["data"]}) == buckets
            counted: dict[Any, int] = {}
            for point in found["data"]:
                counted[point["group"]] = (
                    counted.get(point["group"], 0) + (point["figures"]["events"])
                )
            assert counted == groups, (granularity, group_by)
    costs = await get(owner, "/costs/breakdown", **wide)
    assert costs["total_cost_usd"] == "15.9"
    assert costs["cost_by_model"] == {"gpt-4o": "15", "gpt-4o-mini": "0.9"}
    assert costs["cost_by_agent"] == {"a0": "15", "a1": "0.9"}
    for dimension, name in (("provider", "openai"), ("workspace", "w"), ("user", "u")):
        assert costs[f"cost_by_{dimension}"] == {name: "15.9"}
    assert costs["cost_by_debate"] == {"d": "15.9"}
    # Ends that cut an hour and a day are exact too.
    cut = {"since": "2026-11-20T09:00:00Z", "until": "2026-11-21T09:00:00Z"}
    costs = await get(owner, "/costs/breakdown", **cut)
    assert costs["total_cost_usd"] == "5.3"
    assert costs["cost_by_agent"] == {"a0": "5", "a1": "0.3"}
    assert costs["cost_by_debate"] == {"d": "5.3"}
    turned = await owner.client.get(
        "/api/v1/usage/summary", params={"since": cut["until"], "until": cut["since"]}
    )
    assert (turned.status_code, turned.json()["code"]) == (422, "period_turned_around")


KINDS = ("debate", "api_call", "tokens", "tts")
MODELS = (("openai", "gpt-4o"), ("anthropic", "claude-opus-4"), ("acme", "unknown"), (None, None))

events = st.builds(
    lambda kind, quantity, model, tokens, cached, agent, minutes: {
        "type": KINDS[kind],
        "quantity": str(quantity),
        **({"provider": MODELS[model][0], "model": MODELS[model][1]} if MODELS[model][0] else {}),
        "tokens_in": tokens,
        "cached_tokens": min(cached, tokens),
        "tokens_out": tokens // 3,
        **({"agent": f"a{agent}", "debate_id": f"d{agent % 2}"} if agent else {}),
        "minutes": minutes,
    },
    st.integers(0, 3),
    st.decimals(0, 1000, places=3),
    st.integers(0, 3),
    st.integers(0, 10**9),
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.integers(0, 34 * 24 * 60),
)


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(events, min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 24), st.booleans()), max_size=40),
    st.randoms(use_true_random=False),
)
async def test_any_order_of_events_repeats_and_voids_adds_up(
    sent: Sequence[dict[str, Any]], repeats: Sequence[tuple[int, bool]], random: Any
) -> None:
    service, owner = _STAGE["service"], _STAGE["owner"]
    name = new_id().hex
    rows: list[dict[str, Any]] = []
    for number, event in enumerate(sent):
        at = service.clock.now() - timedelta(minutes=event["minutes"])
        body = {key: value for key, value in event.items() if key != "minutes"}
        rows.append({"id": f"{name}-{number}", "occurred_at": at.isoformat(), **body})
    todo: list[Any] = [("send", row) for row in rows]
    for number, is_void in repeats:
        todo.append(("void" if is_void else "send", rows[number % len(rows)]))
    random.shuffle(todo)

    async def do(kind: str, row: dict[str, Any]) -> None:
        if kind == "send":
            answer = await owner.client.post(EVENTS, json=row)
            assert answer.status_code in (200, 201), answer.text
        else:
            answer = await owner.client.post(f"{EVENTS}/{row['id']}/void", json={"reason": "r"})
            assert answer.status_code in (200, 404), answer.text

    while todo:
        at_once, todo = todo[:8], todo[8:]
        await asyncio.gather(*(do(kind, row) for kind, row in at_once))
    assert await broken(service, owner.organization_id) == {}
    total = await get(
        owner, "/usage/summary", since="2026-10-01T00:00:00Z", until="2026-12-01T00:00:00Z"
    )
    async with service.work.begin(owner.organization_id) as session:
        counted = await session.scalar(
            text(
                "select count(*) from usage_events"
                " where organization_id = :id and voided_at is null"
            ),
            {"id": owner.organization_id},
        )
    assert total["total_events"] == counted


_STAGE: dict[str, Any] = {}


@pytest.fixture(autouse=True)
async def _stage(service: Service) -> None:
    """What the property works with: Hypothesis calls the test many times with one fixture."""
    _STAGE["service"] = service
    _STAGE["owner"] = await an_owner(service, "enterprise")
