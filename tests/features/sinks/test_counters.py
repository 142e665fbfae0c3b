"""Redis has the figures of Postgres, whatever order, repetition and loss there was."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.gateways.redis.gateway import CountersUnavailable, MonthCounters
from app.gateways.redis.live import LiveCounters
from app.kernel.ids import encode_id
from app.sinks.service.counters import CounterSink
from app.usage.service.feeds import UsageFeeds
from tests.factories.people import Owner, an_owner
from tests.features.sinks.conftest import Sinks
from tests.support.process import free_port

EVENTS = "/api/v1/usage/events"


async def use(owner: Owner, *names: str) -> None:
    body = [
        {"id": name, "type": "debate", "provider": "openai", "model": "gpt-4o", "tokens_in": 1000}
        for name in names
    ]
    answer = await owner.client.post(f"{EVENTS}/batch", json={"events": body})
    assert answer.json()["errors"] == 0, answer.text


async def truth(sinks: Sinks) -> dict[tuple[str, str], dict[str, str]]:
    async with sinks.service.work.begin_platform() as session:
        rows = await session.execute(
            text(
                "select organization_id, month, events, trim_scale(debates)::text as debates,"
                " trim_scale(api_calls)::text as api_calls, total_tokens as tokens, tokens_in,"
                " tokens_out, trim_scale(total_cost)::text as cost_usd, unpriced"
                " from usage_monthly"
            )
        )
        return {
            (encode_id("org", row["organization_id"]), row["month"]): {
                str(name): str(row[name]) for name in list(row)[2:]
            }
            for row in rows.mappings()
        }


def kept(sinks: Sinks) -> dict[tuple[str, str], dict[str, str]]:
    return {key: figures for key, (_, figures) in sinks.counters.kept.items()}


async def test_counters_follow_events_voids_and_losses(sinks: Sinks) -> None:
    one, two = [await an_owner(sinks.service, "enterprise") for _ in range(2)]
    await use(one, "a", "b")
    assert await sinks.put() == 1, "what was there before is put as well"
    assert kept(sinks) == await truth(sinks)
    await use(two, "a")
    await use(one, "c")
    await one.client.post(f"{EVENTS}/b/void", json={"reason": "test"})
    assert await sinks.put() >= 2
    assert kept(sinks) == await truth(sinks)
    mine = kept(sinks)[encode_id("org", one.organization_id), "2026-11"]
    assert mine["events"] == "2"
    assert mine["cost_usd"] == "0.005"
    assert await sinks.put() == 0
    sinks.counters.lose()
    assert await sinks.put() == 2
    assert kept(sinks) == await truth(sinks)


async def test_what_fails_is_put_later(sinks: Sinks) -> None:
    owner = await an_owner(sinks.service)
    await sinks.put()
    await use(owner, "a")
    sinks.counters.failures = [CountersUnavailable(reason="ConnectionError")]
    assert await sinks.put() == 0
    assert await sinks.put() == 0, "it is left alone for a while"
    await use(owner, "b")
    sinks.service.clock.advance(timedelta(seconds=31))
    assert await sinks.put() >= 1
    assert kept(sinks) == await truth(sinks)


async def test_a_slow_writer_does_not_put_old_figures_over_new_ones(
    sinks: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held up between reading and putting; the control puts without looking at tickets."""
    owner = await an_owner(sinks.service)
    await sinks.put()
    put = sinks.counters.put
    reached, go = asyncio.Event(), asyncio.Event()

    async def held_up(counters: list[MonthCounters], ticket: int) -> None:
        reached.set()
        await go.wait()
        await put(counters, ticket)

    key = (encode_id("org", owner.organization_id), "2026-11")
    for careful in (True, False):
        reached.clear()
        go.clear()
        await use(owner, f"first-{careful}")
        with monkeypatch.context() as patch:
            patch.setattr(sinks.counters, "put", held_up)
            slow = asyncio.create_task(sinks.put())
            await reached.wait()
        before = int((await truth(sinks))[key]["events"])
        await use(owner, f"more-{careful}")
        assert await sinks.put() == 1
        if not careful:
            _, figures = sinks.counters.kept[key]
            sinks.counters.kept[key] = (-1, figures)
        go.set()
        await slow
        shown = int(kept(sinks)[key]["events"])
        assert shown == (before + 1 if careful else before)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """A redis-server of this test alone, without persistence."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    process = subprocess.Popen(
        [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(10)


async def test_a_real_redis(redis: str, sinks: Sinks) -> None:
    from redis.asyncio import Redis

    counters = LiveCounters(redis)
    client = Redis.from_url(redis, decode_responses=True)
    for _ in range(100):
        try:
            await client.ping()
            break
        except Exception:
            await asyncio.sleep(0.05)
    sink = CounterSink(
        sinks.service.work,
        sinks.service.services[UsageFeeds],
        sinks.service.services[CounterSink]._attempts,
        counters,
    )
    owner = await an_owner(sinks.service, "enterprise")
    await use(owner, "a", "b")
    assert await sink.deliver() == 1
    await use(owner, "c")
    assert await sink.deliver() == 1
    key = f"billing:usage:{encode_id('org', owner.organization_id)}:2026-11"
    shown = await client.hgetall(key)
    ticket = int(shown.pop("ticket"))
    assert [shown] == list((await truth(sinks)).values())
    old = MonthCounters(encode_id("org", owner.organization_id), "2026-11", {"events": "1"})
    await counters.put([old], ticket - 1)
    assert await client.hget(key, "events") == "3"
    await counters.put([old], ticket + 1)
    assert await client.hget(key, "events") == "1"
    await client.flushall()
    assert await sink.deliver() == 1
    assert await client.hget(key, "events") == "3"
    await client.aclose()
    await counters.close()


async def test_a_redis_that_is_not_there_is_unavailable() -> None:
    counters = LiveCounters(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(CountersUnavailable, match="ConnectionError"):
        await counters.complete_since()
    await counters.close()
