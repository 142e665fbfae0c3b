"""Every recorded event reaches Lago, whatever fails; nothing that fails there reaches customers."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import URL, text

from app.gateways.lago.gateway import LagoEvent, LagoUnavailable
from app.gateways.lago.live import LiveLago
from app.infra.settings import Settings
from app.kernel.clock import ManualClock
from app.kernel.ids import encode_id
from app.sinks.service.lago import LagoSink
from app.usage.service.feeds import FeedKind, UsageFeeds
from tests.factories.people import Owner, an_owner
from tests.features.sinks.conftest import Sinks
from tests.support.service import running

EVENTS = "/api/v1/usage/events"


async def record(owner: Owner, *names: str, **labels: Any) -> list[str]:
    """Our ids of the events."""
    body = [{"id": name, "type": "debate", **labels} for name in names]
    answer = await owner.client.post(f"{EVENTS}/batch", json={"events": body})
    assert answer.json()["errors"] == 0, answer.text
    shown = [(await owner.client.get(f"{EVENTS}/{name}")).json() for name in names[:200]]
    return [each["event_id"] for each in shown]


async def test_events_are_told_once_with_what_lago_needs(sinks: Sinks) -> None:
    assert await sinks.tell() == 0
    owner = await an_owner(sinks.service, "enterprise")
    (name,) = await record(
        owner,
        "a",
        provider="openai",
        model="gpt-4o",
        tokens_in=1000,
        tokens_out=10,
        agent="critic",
        occurred_at="2026-11-20T10:00:00.123Z",
    )
    assert await sinks.tell() == 1
    assert sinks.lago.taken[name] == LagoEvent(
        transaction_id=name,
        subscription=encode_id("org", owner.organization_id),
        code="debate",
        happened_at=datetime(2026, 11, 20, 10, 0, 0, 123000, tzinfo=UTC),
        properties={
            "quantity": "1",
            "tokens_in": "1000",
            "tokens_out": "10",
            "cached_tokens": "0",
            "cache_write_tokens": "0",
            "reasoning_tokens": "0",
            "provider": "openai",
            "model": "gpt-4o",
            "agent": "critic",
            "cost_usd": "0.0026",
        },
        cost_cents=Decimal("0.26"),
    )
    repeat = await owner.client.post(EVENTS, json={"id": "b", "type": "debate"})
    assert repeat.status_code == 201
    again = await owner.client.post(EVENTS, json={"id": "b", "type": "debate"})
    assert again.json()["status"] == "duplicate"
    assert await sinks.tell() == 1
    assert await sinks.tell() == 0
    assert await sinks.notes() == 0 or len(sinks.lago.taken) == 2


async def test_a_thousand_events_go_in_batches_and_voided_ones_stay_here(sinks: Sinks) -> None:
    await sinks.tell()
    owner = await an_owner(sinks.service, "enterprise")
    await record(owner, *(f"e{number}" for number in range(1000)))
    await owner.client.post(f"{EVENTS}/e5/void", json={"reason": "test"})
    assert await sinks.tell() == 999
    assert (len(sinks.lago.taken), sinks.lago.calls) == (999, 10)


async def test_what_fails_is_tried_later_and_longer_later(sinks: Sinks) -> None:
    clock = sinks.service.clock
    await sinks.tell()
    owner = await an_owner(sinks.service)
    (name,) = await record(owner, "a")
    sinks.lago.failures = [LagoUnavailable(reason="HTTP 503") for _ in range(3)]
    waited: list[float] = []
    for _ in range(3):
        assert await sinks.tell() == 0
        calls = sinks.lago.calls
        seconds = 0.0
        while sinks.lago.calls == calls and seconds < 4000:
            clock.advance(timedelta(seconds=10))
            seconds += 10
            await sinks.tell()
        waited.append(seconds)
    assert waited == [30, 60, 120]
    assert list(sinks.lago.taken) == [name]
    # Recording never noticed; and one success starts the waiting from the beginning.
    async with sinks.service.work.begin_platform() as session:
        row = (await session.execute(text("select failures, next_attempt_at from sinks"))).one()
    assert tuple(row) == (0, None)


async def test_a_crash_after_sending_tells_it_again_and_nothing_is_there_twice(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sinks.tell()
    owner = await an_owner(sinks.service)
    names = await record(owner, "a", "b", "c")
    feeds = sinks.service.services[UsageFeeds]

    class Killed(Exception):
        pass

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(feeds, "settle", killed)
        with pytest.raises(Killed):
            await sinks.tell()
    assert sorted(sinks.lago.taken) == sorted(names)
    more = await record(owner, "d")
    assert await sinks.tell() == 1, "what the dead one had claimed is leased"
    sinks.service.clock.advance(timedelta(minutes=6))
    assert await sinks.tell() == 3, "its lease is over, and Lago knows these three"
    assert sorted(sinks.lago.taken) == sorted([*names, *more])
    assert await sinks.tell() == 0


@pytest.mark.parametrize("taciturn", [False, True])
async def test_a_refused_event_is_put_aside_and_the_rest_goes_on(
    sinks: Sinks, taciturn: bool
) -> None:
    await sinks.tell()
    owner = await an_owner(sinks.service, "enterprise")
    sinks.lago.unknown_codes, sinks.lago.is_taciturn = {"api_call"}, taciturn
    good = await record(owner, *(f"g{number}" for number in range(30)))
    bad = await record(owner, "bad1", "bad2", type="api_call")
    good += await record(owner, *(f"h{number}" for number in range(30)))
    assert await sinks.tell() == 60
    assert sorted(sinks.lago.taken) == sorted(good)
    async with sinks.service.work.begin_platform() as session:
        rows = (await session.execute(text("select id, sink, reason from sink_dead_letters"))).all()
    assert sorted(encode_id("evt", row[0]) for row in rows) == sorted(bad)
    assert {(row[1], row[2]) for row in rows} == {
        ("lago", "HTTP 422" if taciturn else "code: ['unknown']")
    }
    assert await sinks.tell() == 0


SLOW = """
create function commits_late() returns trigger language plpgsql as $$
begin
    if new.organization_id = '{organization_id}' then perform pg_sleep(1.5); end if;
    return null;
end $$;
create constraint trigger commits_late after insert on usage_keys
deferrable initially deferred for each row execute function commits_late()
"""


async def test_a_commit_that_is_late_is_not_skipped(
    sinks: Sinks, fresh_url: URL, clock: ManualClock
) -> None:
    """Two processes record; the one that began first commits last, after Lago was told.

    The control reads by a watermark of time, as one is tempted to, and misses the slow one.
    """
    await sinks.tell()
    slow = await an_owner(sinks.service)
    async with running(fresh_url, clock) as other:
        quick = await an_owner(other)
        async with sinks.service.work.begin_platform() as session:
            for statement in SLOW.format(organization_id=slow.organization_id).split(";\ncreate c"):
                prefix = "" if statement.lstrip().startswith("create f") else "create c"
                await session.execute(text(prefix + statement.strip()))

        watermark = clock.now() - timedelta(seconds=1)

        async def by_watermark() -> list[str]:
            nonlocal watermark
            async with other.work.begin_platform() as session:
                rows = (
                    await session.execute(
                        text(
                            "select event_key, created_at from usage_events"
                            " where created_at > :at order by created_at"
                        ),
                        {"at": watermark},
                    )
                ).all()
            watermark = max([watermark, *(row[1] for row in rows)])
            return [row[0] for row in rows]

        waiting = asyncio.create_task(
            slow.client.post(EVENTS, json={"id": "slow", "type": "debate"})
        )
        await asyncio.sleep(0.5)
        clock.advance(timedelta(seconds=2))
        sent = await quick.client.post(EVENTS, json={"id": "quick", "type": "debate"})
        assert sent.status_code == 201
        assert not waiting.done()
        assert await sinks.tell() == 1
        seen = await by_watermark()
        answer = await waiting
        assert answer.status_code == 201
        assert await sinks.tell() == 1
        seen += await by_watermark()
        told = {sent.json()["event_id"], answer.json()["event_id"]}
        assert set(sinks.lago.taken) == told
        assert seen == ["quick"]


async def test_many_flushers_and_two_tellers_tell_everything(
    sinks: Sinks, fresh_url: URL, clock: ManualClock
) -> None:
    await sinks.tell()
    async with running(fresh_url, clock) as other:
        owners = [await an_owner(sinks.service, "enterprise"), await an_owner(other, "enterprise")]

        async def use(owner: Owner, number: int) -> str:
            answer = await owner.client.post(EVENTS, json={"id": f"e{number}", "type": "debate"})
            return str(answer.json()["event_id"])

        work = [asyncio.create_task(use(owner, n)) for n in range(60) for owner in owners]
        while not all(task.done() for task in work):
            await asyncio.gather(sinks.tell(), sinks.tell())
        names = [task.result() for task in work]
        await sinks.tell()
        assert sorted(sinks.lago.taken) == sorted(names)
        assert len(names) == 120


async def test_a_feed_that_nobody_reads_ends_after_a_day(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service, "enterprise")

        async def triggers() -> int:
            async with service.work.begin_platform() as session:
                found = await session.scalar(
                    text("select count(*) from pg_trigger where tgname like 'usage_feed_%'")
                )
            return int(found or 0)

        unread = service.services[LagoSink]
        assert await unread.deliver() == 0
        assert await triggers() == 0
        await owner.client.post(EVENTS, json={"id": "before", "type": "debate"})
        await service.services[UsageFeeds].begin("lago", FeedKind.EVENTS)
        assert await triggers() == 1
        await owner.client.post(EVENTS, json={"id": "a", "type": "debate"})
        await unread.deliver()
        assert await triggers() == 1
        clock.advance(timedelta(hours=25))
        await unread.deliver()
        assert await triggers() == 0
        async with service.work.begin_platform() as session:
            assert await session.scalar(text("select count(*) from usage_notes")) == 0
            assert await session.scalar(text("select count(*) from usage_feeds")) == 0


def test_the_address_and_the_key_belong_together() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Settings(lago_api_url="http://lago.example.com", _env_file=None)


def an_event(number: int) -> LagoEvent:
    return LagoEvent(
        f"evt_{number}", "org_1", "debate", datetime(2026, 11, 21, tzinfo=UTC), {"q": "1"}, None
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"events": []}, None),
        (
            422,
            {
                "status": 422,
                "code": "validation_errors",
                "error_details": {
                    "0": {"transaction_id": ["value_already_exist"]},
                    "2": {"timestamp": ["invalid_format"], "code": ["gone"]},
                },
            },
            (frozenset({0}), {2: "code: ['gone']; timestamp: ['invalid_format']"}),
        ),
        (422, {"error_details": {"events": ["too_many_events"]}}, (frozenset(), {})),
        (400, "not json", (frozenset(), {})),
        (413, {}, (frozenset(), {})),
        (401, {}, "HTTP 401"),
        (429, {}, "HTTP 429"),
        (503, {}, "HTTP 503"),
        (302, {}, "HTTP 302"),
    ],
)
async def test_lagos_answers(status: int, body: Any, expected: Any) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(body, str):
            return httpx.Response(status, text=body)
        return httpx.Response(status, json=body)

    lago = LiveLago("http://lago.example/", "key", transport=httpx.MockTransport(answer))
    events = [an_event(number) for number in range(3)]
    if isinstance(expected, str):
        with pytest.raises(LagoUnavailable, match=expected):
            await lago.send(events)
    else:
        found = await lago.send(events)
        shown = None if found is None else (found.known, dict(found.by_position))
        assert shown == expected
    (request,) = asked
    assert str(request.url) == "http://lago.example/api/v1/events/batch"
    assert request.headers["authorization"] == "Bearer key"
    assert b'"timestamp":"1795219200.000"' in request.content.replace(b" ", b"")
    await lago.close()


async def test_a_lago_that_is_not_there_is_unavailable() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    lago = LiveLago("http://lago.example", "key", transport=httpx.MockTransport(refuse))
    with pytest.raises(LagoUnavailable, match="ConnectError"):
        await lago.send([an_event(1)])
    await lago.close()
