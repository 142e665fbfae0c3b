"""Recording usage over HTTP: once, committed, priced, and answered event by event."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.kernel.ids import decode_id
from app.usage.service.ingest import UsageIngest
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

EVENTS = "/api/v1/usage/events"
BATCH = "/api/v1/usage/events/batch"
SUMMARY = "/api/v1/usage/summary"


@pytest.fixture
async def owner(service: Service) -> Owner:
    return await an_owner(service, "enterprise")


async def send(owner: Owner, **event: Any) -> httpx.Response:
    return await owner.client.post(EVENTS, json={"type": "debate", **event})


async def summary(owner: Owner, **params: str) -> dict[str, Any]:
    answer = await owner.client.get(SUMMARY, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_event_is_recorded_priced_and_counted(owner: Owner) -> None:
    answer = await send(
        owner,
        id="one",
        provider="anthropic",
        model="claude-sonnet-4",
        tokens_in=15_000,
        cached_tokens=2_000,
        tokens_out=800,
    )
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["id"] == "one"
    assert body["event_id"].startswith("evt_")
    assert body["status"] == "recorded"
    # 13,000 × 3 + 2,000 × 0.30 + 800 × 15, per million
    assert body["cost_usd"] == "0.0516"
    assert body["priced"] is True
    assert body["quota"] == {
        "metric": "debates",
        "limit": None,
        "used": 1,
        "held": 0,
        "remaining": None,
        "resets_at": "2026-12-01T00:00:00Z",
        "policy": "hard",
    }
    total = await summary(owner)
    assert total["total_events"] == 1
    assert total["total_debates"] == 1
    assert total["total_tokens"] == 15_800
    assert total["total_cost_usd"] == "0.0516"
    assert total["by_type"]["debate"]["events"] == 1
    assert total["by_provider"]["anthropic"]["cost_usd"] == "0.0516"
    assert total["by_model"]["claude-sonnet-4"]["cached_tokens"] == 2_000


async def test_a_repeat_is_a_duplicate_and_other_content_a_conflict(owner: Owner) -> None:
    event: dict[str, Any] = {
        "id": "same",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_in": 1_000_000,
    }
    first = await send(owner, **event)
    again = await send(owner, **event, quantity=None)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["status"] == "duplicate"
    assert again.json()["event_id"] == first.json()["event_id"]
    assert again.json()["cost_usd"] == first.json()["cost_usd"] == "2.5"
    other = await send(owner, **{**event, "tokens_in": 1})
    assert (other.status_code, other.json()["code"]) == (409, "event_conflict")
    assert other.headers["content-type"] == "application/problem+json"
    assert (await summary(owner))["total_events"] == 1


async def test_the_same_content_is_the_same_however_it_is_written(owner: Owner) -> None:
    bodies = [
        '{"id": "w", "type": "debate", "quantity": 1.50, "metadata": {"a": 1, "b": [{"x": 1}]}}',
        '{"metadata": {"b": [{"x": 1}], "a": 1}, "quantity": "1.5", "type": "debate", "id": "w"}',
    ]
    answers = [await owner.client.post(EVENTS, content=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201, 200]


async def test_the_idempotency_key_serves_as_id(owner: Owner) -> None:
    headers = {"Idempotency-Key": "from-the-header"}
    answers = [
        await owner.client.post(EVENTS, json={"type": "api_call"}, headers=headers) for _ in "ab"
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == "from-the-header"
    without = await owner.client.post(EVENTS, json={"type": "api_call"})
    assert (without.status_code, without.json()["code"]) == (422, "event_id_missing")


async def test_two_organizations_may_use_one_id(service: Service, owner: Owner) -> None:
    other = await an_owner(service)
    assert (await send(owner, id="shared")).status_code == 201
    assert (await send(other, id="shared", agent="x")).status_code == 201
    for each in (owner, other):
        assert (await summary(each))["total_events"] == 1


async def test_a_batch_answers_row_by_row(owner: Owner) -> None:
    await send(owner, id="before")
    rows: list[Any] = [
        {"id": "fine", "type": "debate"},
        {"id": "before", "type": "debate"},
        {"id": "before", "type": "debate", "agent": "another"},
        {"id": "unknown", "type": "levitation"},
        {"id": "negative", "type": "debate", "quantity": -1},
        {"id": "parts", "type": "tokens", "tokens_in": 5, "cached_tokens": 6},
        {"type": "debate"},
        {"id": "extra", "type": "debate", "surprise": 1},
        {"id": "old", "type": "debate", "occurred_at": "2026-10-01T00:00:00Z"},
        {"id": "ahead", "type": "debate", "occurred_at": "2026-11-21T09:06:00Z"},
        {"id": "zoneless", "type": "debate", "occurred_at": "2026-11-21T09:00:00"},
        "not an object",
        {"id": "fine too", "type": "api_call", "occurred_at": "2026-11-21T10:04:00+01:00"},
        {"id": "fine", "type": "debate"},
    ]
    answer = await owner.client.post(BATCH, json={"events": rows})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    statuses = [(row["id"], row["status"]) for row in body["results"]]
    assert statuses == [
        ("fine", "recorded"),
        ("before", "duplicate"),
        ("before", "error"),
        ("unknown", "error"),
        ("negative", "error"),
        ("parts", "error"),
        (None, "error"),
        ("extra", "error"),
        ("old", "error"),
        ("ahead", "error"),
        ("zoneless", "error"),
        (None, "error"),
        ("fine too", "recorded"),
        ("fine", "duplicate"),
    ]
    assert (body["recorded"], body["duplicates"], body["errors"]) == (2, 2, 10)
    codes = [row["error"]["code"] for row in body["results"] if row["status"] == "error"]
    assert codes == [
        "event_conflict",
        "unknown_event_type",
        "validation_failed",
        "subset_too_large",
        "event_id_missing",
        "validation_failed",
        "occurred_too_long_ago",
        "occurred_in_the_future",
        "validation_failed",
        "validation_failed",
    ]
    assert (await summary(owner))["total_events"] == 3


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"events": []}',
        '{"events": {}}',
        '{"events": [{"id": "a", "type": "debate"}], "more": 1}',
    ],
)
async def test_a_batch_of_another_shape_is_refused(owner: Owner, body: str) -> None:
    answer = await owner.client.post(BATCH, content=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "validation_failed"
    assert answer.json()["errors"]


async def test_a_batch_has_at_most_a_thousand_events(owner: Owner) -> None:
    rows = [{"id": f"n{number}", "type": "api_call"} for number in range(1_001)]
    assert (await owner.client.post(BATCH, json={"events": rows})).status_code == 422
    answer = await owner.client.post(BATCH, json={"events": rows[:1000]})
    assert answer.json()["recorded"] == 1000


async def test_the_hot_routes_ask_who_is_calling(service: Service, owner: Owner) -> None:
    async with service.client() as stranger:
        for path in (EVENTS, BATCH):
            answer = await stranger.post(path, json={})
            assert answer.status_code == 401
            assert answer.json()["code"] == "not_authenticated"
            assert "x-request-id" in answer.headers
    async with service.client("not-a-token") as stranger:
        assert (await stranger.post(EVENTS, json={})).status_code == 401


async def test_what_has_no_price_costs_null_and_is_counted(owner: Owner) -> None:
    answer = await send(owner, id="u", type="tokens", provider="acme", model="x", tokens_in=5)
    assert answer.status_code == 201
    assert answer.json()["cost_usd"] is None
    assert answer.json()["priced"] is False
    await send(owner, id="v", type="tokens", tokens_in=5)
    await send(owner, id="w", type="debate")
    total = await summary(owner)
    assert total["unpriced_events"] == 2
    assert total["total_cost_usd"] == "0"


async def test_a_single_event_is_refused_with_a_problem(owner: Owner) -> None:
    for wrong, code in (
        ({"id": "a", "quantity": "NaN"}, "validation_failed"),
        ({"id": "a", "tokens_in": 1, "cached_tokens": 2}, "subset_too_large"),
        ({"id": "a", "tokens_out": 1, "reasoning_tokens": 2}, "subset_too_large"),
        ({"id": "a", "type": "levitation"}, "unknown_event_type"),
        ({"id": "a", "occurred_at": "2026-10-01T00:00:00Z"}, "occurred_too_long_ago"),
        ({"id": "a" * 256}, "validation_failed"),
    ):
        answer = await send(owner, **wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    answer = await owner.client.post(EVENTS + "?enforce=perhaps", json={"id": "a", "type": "tts"})
    assert answer.status_code == 422


async def test_a_late_event_counts_where_it_happened(service: Service, owner: Owner) -> None:
    late = service.clock.now() - timedelta(days=34)
    await send(owner, id="late", occurred_at=late.isoformat())
    await send(owner, id="now")
    assert (await summary(owner))["total_events"] == 1
    october = await summary(owner, since="2026-10-01T00:00:00Z", until="2026-11-01T00:00:00Z")
    assert october["total_events"] == 1


async def test_a_summary_is_exact_between_any_two_instants(service: Service, owner: Owner) -> None:
    start = service.clock.now() - timedelta(hours=3)
    rows = [
        {
            "id": f"m{minute}",
            "type": "tokens",
            "tokens_in": 1,
            "occurred_at": (start + timedelta(minutes=minute)).isoformat(),
        }
        for minute in range(180)
    ]
    await owner.client.post(BATCH, json={"events": rows})
    for first, last in ((0, 180), (7, 173), (60, 120), (61, 62), (5, 50), (59, 121)):
        found = await summary(
            owner,
            since=(start + timedelta(minutes=first)).isoformat(),
            until=(start + timedelta(minutes=last)).isoformat(),
        )
        assert found["total_tokens"] == last - first


async def test_requests_at_once_are_each_recorded_once(owner: Owner) -> None:
    await summary(owner)
    answers = await asyncio.gather(
        *(send(owner, id=f"n{number % 40}", tokens_in=7) for number in range(120))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 80 + [201] * 40
    total = await summary(owner)
    assert (total["total_events"], total["tokens_in"]) == (40, 280)
    assert Decimal(total["total_cost_usd"]) == 0


async def test_a_providers_own_usage_object_is_read(owner: Owner) -> None:
    raw = {
        "input_tokens": 50,
        "cache_creation_input_tokens": 248,
        "cache_read_input_tokens": 1_000,
        "output_tokens": 503,
    }
    event = {"provider": "anthropic", "model": "claude-sonnet-4", "raw_usage": raw}
    answer = await send(owner, id="raw", **event)
    assert answer.status_code == 201, answer.text
    exact = (50 * 3 + 1_000 * Decimal("0.3") + 248 * Decimal("3.75") + 503 * 15) / 1_000_000
    assert Decimal(answer.json()["cost_usd"]) == exact
    stored = (await owner.client.get(f"{EVENTS}/raw")).json()
    assert stored["raw_usage"] == raw
    counts = ("tokens_in", "tokens_out", "cached_tokens", "cache_write_tokens")
    assert [stored[name] for name in counts] == [1_298, 503, 1_000, 248]
    differs = await send(owner, id="other", tokens_in=1, **event)
    assert (differs.status_code, differs.json()["code"]) == (422, "raw_usage_mismatch")
    unknown = await send(owner, id="odd", raw_usage={"tokens": 1})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "raw_usage_unknown")


def cloud_event(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/my/gateway",
        "type": "com.example.tokens",
        "time": "2026-11-21T08:59:00Z",
        "subject": "user-7",
        "data": {"provider": "openai", "model": "gpt-4o", "tokens_in": 1_000_000},
        **changes,
    }


async def test_cloud_events_are_usage_events(owner: Owner) -> None:
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    for status in (201, 200):
        answer = await owner.client.post(EVENTS, json=cloud_event("ce"), headers=headers)
        assert answer.status_code == status, answer.text
    assert answer.json()["cost_usd"] == "2.5"
    stored = (await owner.client.get(f"{EVENTS}/ce")).json()
    assert (stored["type"], stored["user_id"]) == ("tokens", "user-7")
    assert stored["occurred_at"] == "2026-11-21T08:59:00Z"
    assert stored["metadata"] == {"source": "/my/gateway"}
    wrong = await owner.client.post(EVENTS, json={"id": "a", "type": "tts"}, headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "cloud_event_malformed")
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    rows = [cloud_event("ce"), cloud_event("new"), cloud_event("old", specversion="0.3"), 5]
    rows.append(cloud_event("odd", data={"tokens_in": -1}))
    answer = await owner.client.post(BATCH, json=rows, headers=headers)
    assert answer.status_code == 200, answer.text
    statuses = [row["status"] for row in answer.json()["results"]]
    assert statuses == ["duplicate", "recorded", "error", "error", "error"]
    empty = await owner.client.post(BATCH, json=[], headers=headers)
    assert empty.status_code == 422


async def test_an_operator_backfills_the_past_but_not_the_future(service: Service) -> None:
    operator = await an_operator(service)
    created = await operator.post("/api/v1/organizations", json={"name": "Backfill"})
    switched = await operator.post(
        "/api/v1/auth/switch", json={"organization_id": created.json()["id"]}
    )
    async with service.client(switched.json()["access_token"]) as client:
        event = {"type": "tokens", "provider": "openai", "model": "gpt-4o", "tokens_in": 1_000_000}
        old = {**event, "id": "old", "occurred_at": "2023-11-16T18:17:03Z"}
        answer = await client.post(EVENTS, json=old)
        assert (answer.status_code, answer.json()["cost_usd"]) == (201, "2.5"), answer.text
        assert (await client.post(EVENTS, json=old)).json()["status"] == "duplicate"
        found = (await client.get(f"{EVENTS}/old")).json()
        assert found["occurred_at"] == "2023-11-16T18:17:03Z"
        ahead = {**event, "id": "ahead", "occurred_at": "2026-11-21T09:06:00Z"}
        assert (await client.post(EVENTS, json=ahead)).json()["code"] == "occurred_in_the_future"


async def test_what_an_operator_fills_in_alerts_nobody(service: Service) -> None:
    """The same use by the customer does; both count against the limit."""
    operator = await an_operator(service)
    created = await operator.post("/api/v1/organizations", json={"name": "Backfill"})
    switched = await operator.post(
        "/api/v1/auth/switch", json={"organization_id": created.json()["id"]}
    )
    customer = await an_owner(service)
    rows = [{"id": f"n{number}", "type": "debate"} for number in range(10)]
    async with service.client(switched.json()["access_token"]) as filling:
        for client, told in ((filling, 0), (customer.client, 100)):
            answer = await client.post(BATCH, json={"events": rows})
            assert answer.json()["recorded"] == 10, answer.text
            refused = await client.post(
                f"{EVENTS}?enforce=true", json={"id": "x", "type": "debate"}
            )
            assert refused.status_code == 402
            await service.services[UsageIngest]._notices.finish()
            me = (await client.get("/api/v1/auth/me")).json()
            async with service.work.begin_platform() as session:
                announced = await session.scalar(
                    text(
                        "select announced_percent from usage_counters"
                        " where organization_id = :id and metric = 'debates'"
                    ),
                    {"id": decode_id("org", me["organization"]["id"])},
                )
            assert announced == told
