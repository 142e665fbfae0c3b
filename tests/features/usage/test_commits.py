"""Events that settle reservations."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.usage.service.reservations import Reservations
from app.usage.service.settling import Settling
from tests.factories.people import Owner, an_owner
from tests.features.usage.books import books
from tests.features.usage.test_reservations import RESERVATIONS, quota, reserve
from tests.support.service import Service


async def commit(owner: Owner, reservation: str, **event: Any) -> httpx.Response:
    return await owner.client.post(f"{RESERVATIONS}/{reservation}/commit", json=event)


async def held(owner: Owner, **asked: Any) -> str:
    answer = await reserve(owner, **asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_commit_records_its_event_and_gives_back_the_rest(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", quantity=5, debate_id="d", workspace="w")
    answer = await commit(owner, reservation, id="e", quantity=2)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["state"] == "committed"
    assert body["returned"] == [{"kind": "quota", "metric": "debates", "quantity": 3}]
    assert body["overshoot"] == []
    assert (body["event"]["id"], body["event"]["status"]) == ("e", "recorded")
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (2, 0)
    event = (await owner.client.get("/api/v1/usage/events/e")).json()
    shown = [event[name] for name in ("type", "debate_id", "workspace", "quantity")]
    assert shown == ["debate", "d", "w", 2], "what it does not say, the reservation did"
    again = await commit(owner, reservation, id="e", quantity=2)
    assert again.status_code == 200, again.text
    assert again.json()["event"].pop("status") == "duplicate"
    assert again.json() == {**body, "event": {**body["event"], "status": "duplicate"}}
    assert (await quota(owner))["used"] == 2
    other = await commit(owner, reservation, id="f", quantity=1)
    assert (other.status_code, other.json()["code"]) == (409, "reservation_committed")
    changed = await commit(owner, reservation, id="e", quantity=3)
    assert (changed.status_code, changed.json()["code"]) == (409, "event_conflict")
    late = await owner.client.post(f"{RESERVATIONS}/{reservation}/release")
    assert late.json()["state"] == "committed"
    async with service.work.begin(owner.organization_id) as session:
        stored = await session.scalar(
            text("select count(*) from usage_events where reservation_id is not null")
        )
    assert stored >= 1
    assert await books(service, owner) == []


async def test_more_than_was_held_is_recorded_and_reported(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", quantity=2)
    body = (await commit(owner, reservation, id="e", quantity=12)).json()
    assert body["overshoot"] == [{"kind": "quota", "metric": "debates", "quantity": 10}]
    assert body["returned"] == []
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (12, 0)
    assert await books(service, owner) == []


async def test_a_stream_draws_on_its_hold_as_it_goes(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", quantity=6, ttl_seconds=60)
    for part in ("1", "2", "2"):
        body = (await commit(owner, reservation, id=part, quantity=2, final=False)).json()
        assert (body["state"], body["returned"]) == ("held", [])
    assert body["event"]["status"] == "duplicate"
    assert body["held"][0]["quantity"] == 2
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (4, 2)
    # The process that streams is gone: what was delivered is billed, the rest goes back.
    service.clock.advance(seconds=60)
    await service.services[Reservations].expire()
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (4, 0)
    shown = (await owner.client.get(f"{RESERVATIONS}/{reservation}")).json()
    assert (shown["state"], shown["events"]) == ("expired", 2)
    assert (shown["amounts"][0]["committed"], shown["amounts"][0]["returned"]) == ("4", "2")
    assert await books(service, owner) == []


async def test_a_stream_can_be_closed_by_its_last_part(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", quantity=6)
    await commit(owner, reservation, id="1", quantity=2, final=False)
    body = (await commit(owner, reservation, id="1", quantity=2)).json()
    assert (body["state"], body["event"]["status"], body["events"]) == ("committed", "duplicate", 1)
    assert body["returned"] == [{"kind": "quota", "metric": "debates", "quantity": 4}]
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (2, 0)


async def test_an_event_after_the_expiry_is_recorded_and_reported(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", quantity=2, ttl_seconds=1)
    service.clock.advance(seconds=1)
    await service.services[Reservations].expire()
    body = (await commit(owner, reservation, id="late", quantity=2)).json()
    assert (body["state"], body["event"]["status"]) == ("expired", "recorded")
    assert body["overshoot"] == [{"kind": "quota", "metric": "debates", "quantity": 2}]
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (2, 0)


async def test_after_a_release_nothing_is_recorded(service: Service) -> None:
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates")
    await owner.client.post(f"{RESERVATIONS}/{reservation}/release")
    answers = await asyncio.gather(
        commit(owner, reservation, id="e"),
        commit(owner, await held(owner, metric="debates"), id="good"),
    )
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "reservation_released")
    assert answers[1].status_code == 200, "a neighbour is none the worse"
    assert (await owner.client.get("/api/v1/usage/events/e")).status_code == 404
    assert (await quota(owner))["used"] == 1


async def test_a_child_takes_its_overshoot_from_the_envelope(service: Service) -> None:
    owner = await an_owner(service)
    envelope = await held(owner, metric="debates", quantity=8)
    child = await held(owner, metric="debates", quantity=2, parent_id=envelope)
    body = (await commit(owner, child, id="e", quantity=5)).json()
    assert body["overshoot"] == [{"kind": "quota", "metric": "debates", "quantity": 3}]
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (5, 3), "together they are the envelope"
    thrifty = await held(owner, metric="debates", quantity=3, parent_id=envelope)
    body = (await commit(owner, thrifty, id="f", quantity=1)).json()
    assert body["returned"] == [{"kind": "quota", "metric": "debates", "quantity": 2}]
    shown = (await owner.client.get(f"{RESERVATIONS}/{envelope}")).json()
    assert shown["held"][0]["quantity"] == 2
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (6, 2)
    assert await books(service, owner) == []


@pytest.mark.parametrize("ending", ["release", "expire"])
async def test_of_a_commit_and_an_ending_one_wins(service: Service, ending: str) -> None:
    owner = await an_owner(service, "professional")
    names = [await held(owner, metric="debates", quantity=2, ttl_seconds=30) for _ in range(20)]
    if ending == "expire":
        service.clock.advance(seconds=30)

    async def end(name: str) -> None:
        if ending == "release":
            await owner.client.post(f"{RESERVATIONS}/{name}/release")
        else:
            await service.services[Reservations].expire()

    answers = await asyncio.gather(
        *(commit(owner, name, id=name, quantity=1) for name in names),
        *(end(name) for name in reversed(names)),
    )
    recorded = 0
    for name, answer in zip(names, answers[:20], strict=True):
        assert answer is not None
        state = (await owner.client.get(f"{RESERVATIONS}/{name}")).json()["state"]
        recorded += answer.status_code == 200
        if answer.status_code == 200:
            assert answer.json()["state"] == state
            assert state in ("committed", "expired")
        else:
            assert (answer.json()["code"], state) == ("reservation_released", "released")
    stand = await quota(owner)
    assert (stand["used"], stand["held"]) == (recorded, 0)
    assert await books(service, owner) == []


async def test_a_commit_needs_no_memory_of_the_reservation(service: Service) -> None:
    """Another process reserved; this one commits."""
    owner = await an_owner(service)
    reservation = await held(owner, metric="debates", workspace="w")
    service.services[Settling]._plans.clear()
    assert (await commit(owner, reservation, id="e")).status_code == 200
    event = (await owner.client.get("/api/v1/usage/events/e")).json()
    assert (event["type"], event["workspace"]) == ("debate", "w")
    missing = await commit(owner, "res_" + "0" * 26, id="e")
    assert (missing.status_code, missing.json()["code"]) == (404, "reservation_not_found")
    nameless = await commit(owner, await held(owner, metric="debates"))
    assert (nameless.status_code, nameless.json()["code"]) == (422, "event_id_missing")
