"""Cost breakdowns and reports over HTTP, and the figures that a closing rests on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.ids import encode_id, new_id
from app.kernel.periods import Period
from app.pricing.domain import NewPrice, TokenRole, Tokens
from app.pricing.service import PriceService
from app.usage.domain import NewEvent
from app.usage.errors import UsageUnpriced
from app.usage.kept import HOUR, whole
from app.usage.reports import average, bucket_of, in_buckets
from app.usage.service import costs as service_of_costs
from app.usage.service.closing import UsageClosing
from app.usage.service.ingest import UsageIngest
from app.usage.wire.events import read_batch
from tests.factories.people import Owner, an_owner
from tests.support.recount import broken
from tests.support.service import Service

BATCH = "/api/v1/usage/events/batch"
MONTH = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


async def get(owner: Owner, path: str, **params: str) -> dict[str, Any]:
    answer = await owner.client.get(f"/api/v1{path}", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def send(owner: Owner, rows: list[dict[str, Any]]) -> None:
    answer = await owner.client.post(BATCH, json={"events": rows})
    assert answer.json()["errors"] == 0, answer.text


def some(service: Service, number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"n{number}",
        "type": "tokens",
        "provider": "anthropic",
        "model": "claude-sonnet-4",
        "tokens_in": 15_000,
        "cached_tokens": 2_000,
        "tokens_out": 800,
        "agent": f"a{number % 2}",
        "debate_id": f"d{number % 3}",
        "request_type": ("debate", "judge")[number % 2],
        "latency_ms": str(100 * (number + 1)),
        "occurred_at": (service.clock.now() - timedelta(hours=5 * number)).isoformat(),
        **more,
    }


async def test_a_report_adds_up_and_knows_what_caching_saved(service: Service) -> None:
    owner = await an_owner(service)
    await send(owner, [some(service, number) for number in range(12)])
    cut = {"since": "2026-11-19T10:30:00Z", "until": "2026-11-21T09:30:00Z"}
    # Ten of the twelve lie in the stretch, each for 13,000 × 3 + 2,000 × 0.3 + 800 × 15.
    each = Decimal("0.0516")
    for granularity, buckets in (("hourly", 10), ("daily", 3), ("weekly", 1), ("monthly", 1)):
        for group_by, groups in (
            (None, {None}),
            ("type", {"tokens"}),
            ("provider", {"anthropic"}),
            ("model", {"claude-sonnet-4"}),
            ("agent", {"a0", "a1"}),
            ("debate", {"d0", "d1", "d2"}),
            ("request_type", {"debate", "judge"}),
        ):
            extra = {} if group_by is None else {"group_by": group_by}
            found = await get(owner, "/costs/report", granularity=granularity, **cut, **extra)
            points = found["series"]
            assert len({point["start"] for point in points}) == buckets, (granularity, group_by)
            assert {point["group"] for point in points} == groups
            total = sum(Decimal(point["figures"]["cost_usd"]) for point in points)
            assert total == Decimal(found["total_cost_usd"]) == 10 * each
    report = await get(owner, "/costs/report", **cut)
    assert report["cached_savings_usd"] == str(10 * 2_000 * Decimal("2.7") / 1_000_000)
    assert report["average_cost_per_event_usd"] == "0.0516"
    assert (report["debates"], report["average_cost_per_debate_usd"]) == (3, "0.172")
    assert [(top["name"], top["figures"]["events"]) for top in report["top"]["debate"]] == [
        ("d0", 4),
        ("d1", 3),
        ("d2", 3),
    ]
    assert (await get(owner, "/costs/report", top="1", **cut))["top"]["agent"][0]["name"] == "a0"
    latency = report["latency"]
    assert (latency["events"], latency["p50_ms"], latency["p99_ms"]) == (10, "550", "991")
    assert latency["since"] == "2026-11-19T12:00:00Z"
    costs = await get(owner, "/costs/breakdown", **cut)
    assert costs["cost_by_request_type"] == {"debate": "0.258", "judge": "0.258"}
    assert costs["total_cost_usd"] == "0.516"


async def test_keys_are_named_as_the_api_writes_them(service: Service) -> None:
    owner, key = await an_owner(service), new_id()
    body = b'{"events":[{"id":"a","type":"tokens","provider":"openai","model":"gpt-4o","tokens_in":1000000}]}'
    events: list[NewEvent | Any] = read_batch(body)[1]
    await service.services[UsageIngest].record(owner.organization_id, events, api_key_id=key)
    name = encode_id("key", key)
    assert (await get(owner, "/costs/breakdown"))["cost_by_api_key"] == {name: "2.5"}
    for granularity in ("hourly", "daily"):
        report = await get(owner, "/costs/report", group_by="api_key", granularity=granularity)
        assert [point["group"] for point in report["series"]] == [name]
    assert report["top"]["api_key"][0]["name"] == name


async def test_what_cannot_be_answered_is_said(service: Service) -> None:
    owner = await an_owner(service)
    empty = await get(owner, "/costs/report")
    assert (empty["series"], empty["latency"], empty["total_cost_usd"]) == ([], None, "0")
    assert empty["average_cost_per_event_usd"] is None
    long = {"since": "2026-09-01T00:00:00Z", "until": "2026-11-21T00:00:00Z"}
    for params, code in (
        ({**long, "granularity": "hourly", "group_by": "agent"}, "stretch_too_long"),
        ({**long, "since": "2026-01-01T00:00:00Z", "granularity": "hourly"}, "finer_than_kept"),
        ({"granularity": "yearly"}, "validation_failed"),
    ):
        answer = await owner.client.get("/api/v1/costs/report", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_what_has_no_price_is_null_and_never_zero(service: Service) -> None:
    owner = await an_owner(service)
    model = f"model-{new_id().hex}"
    await send(
        owner,
        [
            some(service, 0, provider="acme", model=model, agent="unpriced"),
            some(service, 1, agent="both"),
            some(service, 2, provider="acme", model=model, agent="both"),
        ],
    )
    costs = await get(owner, "/costs/breakdown")
    assert costs["cost_by_model"] == {"claude-sonnet-4": "0.0516", model: None}
    assert costs["cost_by_provider"]["acme"] is None
    assert costs["cost_by_agent"] == {"both": "0.0516", "unpriced": None}
    assert costs["unpriced_models"] == [{"provider": "acme", "model": model, "events": 2}]
    assert (costs["unpriced_events"], costs["total_cost_usd"]) == (2, "0.0516")
    report = await get(owner, "/costs/report", group_by="model")
    shown = {point["group"]: point["figures"]["cost_usd"] for point in report["series"]}
    assert shown == {"claude-sonnet-4": "0.0516", model: None}
    assert report["average_cost_per_event_usd"] == "0.0516"
    summary = await get(owner, "/usage/summary")
    assert summary["by_model"][model]["cost_usd"] is None


async def test_a_model_without_a_price_stops_the_closing_until_it_has_one(
    service: Service,
) -> None:
    """Correctness: one of fifty, and the total is that of a run which always had the price."""
    dropped, always = await an_owner(service), await an_owner(service)
    lost, kept = f"model-{new_id().hex}", f"model-{new_id().hex}"
    prices, closing = service.services[PriceService], service.services[UsageClosing]

    async def add(model: str) -> None:
        await prices.add(
            [
                NewPrice("acme", model, TokenRole.INPUT, Decimal("0.123456789")),
                NewPrice("acme", model, TokenRole.OUTPUT, Decimal("7.7")),
            ]
        )

    def events(model: str) -> list[dict[str, Any]]:
        unlike = {"provider": "acme", "model": model, "cache_write_tokens": 77}
        return [
            some(service, number, **(unlike if number % 50 == 13 else {})) for number in range(100)
        ]

    await add(kept)
    await send(always, events(kept))
    await send(dropped, events(lost))
    whole = await closing.figures(always.organization_id, MONTH)
    with pytest.raises(UsageUnpriced) as refused:
        await closing.figures(dropped.organization_id, MONTH)
    assert refused.value.extra == {
        "events": 2,
        "models": [{"provider": "acme", "model": lost, "events": 2}],
    }
    before = await get(dropped, "/usage/summary")
    assert before["unpriced_events"] == 2
    await add(lost)
    await service.drain()
    found = await closing.figures(dropped.organization_id, MONTH)
    assert found.cost_usd == whole.cost_usd
    summaries = [await get(each, "/usage/summary") for each in (dropped, always)]
    for name in ("total_cost_usd", "unpriced_events", "by_provider", "by_type"):
        assert summaries[0][name] == summaries[1][name], name
    assert Decimal(summaries[0]["total_cost_usd"]) == whole.cost_usd
    costs = [await get(each, "/costs/breakdown") for each in (dropped, always)]
    for name in ("agent", "debate", "request_type"):
        assert costs[0][f"cost_by_{name}"] == costs[1][f"cost_by_{name}"]
    assert await broken(service, dropped.organization_id) == {}
    (acme,) = (line for line in found.lines if line.provider == "acme")
    assert acme.tokens == Tokens(2 * (15_000 - 2_000 - 77), 2 * 2_000, 2 * 77, 2 * 800)
    assert found.quantity("tokens") == 98, "two of the hundred happened in October"
    assert acme.metric == "tokens"


async def test_a_voided_event_without_a_price_does_not_stop_the_closing(service: Service) -> None:
    owner = await an_owner(service)
    await send(owner, [some(service, 0, provider="acme", model="never heard of")])
    await owner.client.post("/api/v1/usage/events/n0/void", json={"reason": "a test"})
    closed = await service.services[UsageClosing].figures(owner.organization_id, MONTH)
    assert list(closed.lines) == []
    assert closed.cost_usd == 0


async def test_a_fee_for_each_call_is_charged_and_reasoning_has_its_price(
    service: Service,
) -> None:
    owner = await an_owner(service)
    plain = {"provider": "perplexity", "cached_tokens": 0}
    await send(
        owner,
        [
            some(service, 0, model="sonar", **plain),
            some(service, 1, model="sonar-deep-research", reasoning_tokens=500, **plain),
        ],
    )
    costs = await get(owner, "/costs/breakdown")
    assert costs["cost_by_model"] == {
        "sonar": "0.0278",  # 15,800 tokens at 1, and 0.012
        "sonar-deep-research": "0.0339",  # 15,000 at 2, 500 at 3, 300 at 8
    }


async def test_a_price_longer_than_is_kept_is_rounded_for_events_and_sums_alike(
    service: Service,
) -> None:
    owner = await an_owner(service)
    long = {"provider": "huggingface_together", "model": "Qwen/Qwen3-VL-8B-Instruct"}
    await send(
        owner,
        [
            some(service, number, **long, cached_tokens=0, tokens_in=77_777 * number)
            for number in range(9)
        ],
    )
    assert await broken(service, owner.organization_id) == {}
    costs = await get(owner, "/costs/breakdown")
    page = await get(owner, "/usage/events")
    each = [Decimal(row["cost_usd"]) for row in page["data"]]
    assert Decimal(costs["total_cost_usd"]) == sum(each)
    assert max(len(str(cost).split(".")[1]) for cost in each) == 18


async def test_names_beyond_the_thousandth_are_counted_not_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await an_owner(service)
    await send(owner, [some(service, number, agent=f"a{number}") for number in range(6)])
    monkeypatch.setattr(service_of_costs, "MOST_NAMES", 4)
    costs = await get(owner, "/costs/breakdown")
    assert len(costs["cost_by_agent"]) == 4
    assert costs["left_out"] == {"agent": 2}


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(microseconds=1), timedelta(hours=50)),
)
def test_ends_lie_in_their_buckets(start: datetime, length: timedelta) -> None:
    _, ends = whole(Period(start, start + length), HOUR)
    for end in ends:
        parts = in_buckets(end, "hour")
        assert parts[0].start == end.start
        assert parts[-1].end == end.end
        for part in parts:
            inside = part.end - timedelta(microseconds=1)
            assert bucket_of(part.start, "hour") == bucket_of(inside, "hour")


def test_averages_are_rounded_once() -> None:
    assert average(Decimal(1), 3) == Decimal("0.333333333333")
    assert average(Decimal(2), 3) == Decimal("0.666666666667")
    assert average(Decimal(1), 0) is None


async def test_a_streams_usage_costs_what_the_same_response_costs_in_one_piece(
    service: Service,
) -> None:
    owner = await an_owner(service)
    read = {
        "input_tokens": 900,
        "cache_read_input_tokens": 4_000,
        "cache_creation_input_tokens": 100,
    }
    stream = [
        {"type": "message_start", "message": {"usage": {**read, "output_tokens": 1}}},
        {"type": "message_delta", "usage": {"output_tokens": 40}},
        {"type": "message_delta", "usage": {"output_tokens": 250}},
    ]
    call = {"type": "tokens", "provider": "anthropic", "model": "claude-sonnet-4"}
    await send(
        owner,
        [
            {"id": "whole", **call, "raw_usage": {**read, "output_tokens": 250}},
            {"id": "stream", **call, "raw_usage": stream},
        ],
    )
    whole = await get(owner, "/usage/events/whole")
    streamed = await get(owner, "/usage/events/stream")
    assert streamed["raw_usage"] == stream
    for name in ("tokens_in", "tokens_out", "cached_tokens", "cache_write_tokens", "cost_usd"):
        assert streamed[name] == whole[name]
    assert whole["cost_usd"] == "0.008025"
    for wrong in ([], [{"type": "ping"}], [1], [{**read, "output_tokens": -1}]):
        answer = await owner.client.post(
            "/api/v1/usage/events", json={"id": "wrong", **call, "raw_usage": wrong}
        )
        assert answer.status_code == 422, answer.text
