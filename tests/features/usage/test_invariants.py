"""Each invariant of usage fires when what it watches is broken by hand, and only then."""

import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.usage.invariants import INVARIANTS
from tests.factories.people import Owner, an_owner
from tests.support.recount import broken, broken_at
from tests.support.service import Service, running

EVENTS = "/api/v1/usage/events"

SOUND = {
    "type": "debate",
    "provider": "openai",
    "model": "gpt-4o",
    "tokens_in": 1000,
    "agent": "critic",
    "debate_id": "d",
    "user_id": "u",
    "workspace": "w",
}

FAULTS = {
    "usage.hours_are_their_events": [
        "update usage_hourly set {figure} = {figure} + 1 where organization_id = :id",
        "delete from usage_hourly where organization_id = :id",
        "update usage_hourly set model = 'another' where organization_id = :id",
    ],
    "usage.days_are_their_events": [
        "update usage_daily set {figure} = {figure} - 1 where organization_id = :id",
        "delete from usage_daily where organization_id = :id and dimension = 'agent'",
        "update usage_daily set day = day + 1 where organization_id = :id",
    ],
    "usage.months_are_their_events": [
        (
            "update usage_monthly set total_cost = total_cost + 0.000000000000000001"
            " where organization_id = :id"
        ),
        "update usage_monthly set debates = debates + 1 where organization_id = :id",
        "delete from usage_monthly where organization_id = :id",
    ],
    "usage.counters_are_their_events": [
        "update usage_counters set used = used + 1 where organization_id = :id",
        "delete from usage_counters where organization_id = :id and metric = 'debates'",
        (
            "update usage_counters set window_start = window_start - interval '1 month'"
            " where organization_id = :id"
        ),
    ],
    "usage.values_are_their_events": [
        (
            "insert into usage_values (organization_id, metric, window_start, value_hash, events)"
            " values (:id, 'people', now(), gen_random_uuid(), 1)"
        ),
    ],
    "usage.limits_saw_their_events": [
        "update spend set posted = posted + 0.000000000000000001 where organization_id = :id",
        "update spend_limits set subject = 'another' where organization_id = :id",
    ],
    "usage.events_have_keys": [
        "delete from usage_keys where organization_id = :id",
        "update usage_keys set event_id = gen_random_uuid() where organization_id = :id",
    ],
    "usage.keys_have_one_event": [
        "update usage_events set event_key = 'same' where organization_id = :id",
    ],
    "usage.holds_are_open_reservations": [
        (
            "update usage_counters set held = held + 1"
            " where organization_id = :id and metric = 'debates'"
        ),
        "update spend set held = held + 1 where organization_id = :id",
        "update spend set held = 0 where organization_id = :id",
    ],
}
FIGURES = ["events", "quantity", "tokens_in", "tokens_out", "cached_tokens", "cost_usd", "unpriced"]


async def used(service: Service) -> Owner:
    owner = await an_owner(service, "enterprise")
    await owner.client.put("/api/v1/debates/d/budget", json={"amount_usd": "1"})
    for name in ("one", "two", "gone"):
        await owner.client.post(EVENTS, json={"id": name, **SOUND})
    await owner.client.post(f"{EVENTS}/gone/void", json={"reason": "never happened"})
    held = {"metric": "debates", "debate_id": "d", "estimated_cost_usd": "0.1"}
    assert (await owner.client.post("/api/v1/usage/reservations", json=held)).status_code == 201
    return owner


def test_every_invariant_is_broken_here() -> None:
    # What time makes wrong is among the doctor's.
    assert set(FAULTS) == {name for name, (_, sql) in INVARIANTS.items() if ":now" not in sql}


@pytest.mark.parametrize("name", list(FAULTS))
async def test_an_invariant_fires_when_what_it_watches_is_broken(
    service: Service, name: str
) -> None:
    for fault in FAULTS[name]:
        for figure in FIGURES if "{figure}" in fault else [""]:
            owner = await used(service)
            assert await broken(service, owner.organization_id) == {}
            async with service.work.begin(owner.organization_id) as session:
                await session.execute(
                    text(fault.format(figure=figure)), {"id": owner.organization_id}
                )
            assert list(await broken(service, owner.organization_id)) == [name], (fault, figure)
            async with service.work.begin_platform() as session:
                await session.execute(
                    text("delete from spend where organization_id = :id"),
                    {"id": owner.organization_id},
                )
                for table in ("events", "keys", "values", "hourly", "daily", "monthly", "counters"):
                    await session.execute(
                        text(f"delete from usage_{table} where organization_id = :id"),
                        {"id": owner.organization_id},
                    )


async def test_the_whole_database_is_checked_from_outside(
    fresh_url: URL, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service:
        owner = await used(service)
        assert await broken_at(fresh_url) == {}
        async with service.work.begin(owner.organization_id) as session:
            await session.execute(text("update usage_hourly set events = 9"))
        assert list(await broken_at(fresh_url)) == ["usage.hours_are_their_events"]
