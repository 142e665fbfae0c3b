"""Holding before a call, and giving back."""

import asyncio
from typing import Any

import httpx
import pytest

from app.catalog.service import CatalogService
from app.kernel.ids import new_id
from app.usage.domain import Meters
from app.usage.holding import Caller
from app.usage.service.granting import Grant, Request
from app.usage.service.reservations import Reservations
from app.usage.wire.reservations import read_reservation
from tests.factories.people import Owner, an_owner
from tests.support.service import Service

RESERVATIONS = "/api/v1/usage/reservations"


async def reserve(owner: Owner, key: str | None = None, **asked: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await owner.client.post(RESERVATIONS, json=asked, headers=headers)


async def quota(owner: Owner, metric: str = "debates") -> dict[str, Any]:
    answer = await owner.client.get("/api/v1/billing/quota")
    return next(row for row in answer.json()["data"] if row["metric"] == metric)


async def test_what_is_reserved_is_held_and_can_be_released(service: Service) -> None:
    owner = await an_owner(service)
    answer = await reserve(owner, metric="debate", quantity=3, ttl_seconds=60, debate_id="d")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["state"], body["metric"], body["debate_id"]) == ("held", "debates", "d")
    assert body["expires_at"] == "2026-11-21T09:01:00Z"
    assert body["held"] == [
        {
            "kind": "quota",
            "metric": "debates",
            "window_start": "2026-11-01T00:00:00Z",
            "quantity": 3,
        }
    ]
    stand = await quota(owner)
    assert (stand["used"], stand["held"], stand["remaining"]) == (0, 3, 7)
    shown = await owner.client.get(f"{RESERVATIONS}/{body['id']}")
    assert shown.status_code == 200
    assert shown.json()["held"][0]["quantity"] == 3
    for _ in range(2):
        released = await owner.client.post(f"{RESERVATIONS}/{body['id']}/release")
        assert released.status_code == 200, released.text
        assert released.json()["state"] == "released"
        assert released.json()["returned"] == [
            {"kind": "quota", "metric": "debates", "quantity": 3}
        ]
    assert (await quota(owner))["held"] == 0


async def test_the_last_units_go_to_as_many_as_fit(service: Service) -> None:
    owner = await an_owner(service)
    await reserve(owner, metric="debates", quantity=3)
    answers = await asyncio.gather(*(reserve(owner, metric="debates") for _ in range(64)))
    assert sorted(answer.status_code for answer in answers) == [201] * 7 + [402] * 57
    refused = next(answer for answer in answers if answer.status_code == 402).json()
    shown = ("code", "metric", "limit", "used", "held", "remaining", "requested", "plan")
    assert [refused[name] for name in shown] == [
        "quota_exceeded", "debates", 10, 0, 10, 0, 1, "free",
    ]  # fmt: skip
    assert refused["upgrade_to"] == "starter"
    assert (await quota(owner))["held"] == 10


async def test_a_refused_request_stands_in_nobodys_way(service: Service) -> None:
    """Requests of one call are granted in order, each against what is really left."""
    owner = await an_owner(service)
    reservations = service.services[Reservations]
    requests = [
        Request(
            owner.organization_id,
            new_id(),
            read_reservation(b'{"metric": "debates", "quantity": %d}' % quantity, "", None),
            Meters(service.services[CatalogService].active).find("debates"),
            None,
            Caller("", None, may_exceed=False),
        )
        for quantity in (6, 5, 3, 2, 1)
    ]
    answers = await reservations._reserving.submit(requests)
    assert [isinstance(answer, Grant) for answer in answers] == [True, False, True, False, True]


async def test_a_key_gives_the_first_answer_again(service: Service) -> None:
    owner = await an_owner(service)
    first = await reserve(owner, "k", metric="debates", quantity=2)
    again = await reserve(owner, "k", quantity="2.0", metric="debates")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await reserve(owner, "k", metric="debates", quantity=3)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await quota(owner))["held"] == 2
    await owner.client.post(f"{RESERVATIONS}/{first.json()['id']}/release")
    after = await reserve(owner, "k", metric="debates", quantity=2)
    assert after.json() == first.json()
    assert (await quota(owner))["held"] == 0
    many = await asyncio.gather(*(reserve(owner, "n", metric="debates") for _ in range(20)))
    assert {answer.status_code for answer in many} == {201}
    assert len({answer.json()["id"] for answer in many}) == 1
    assert (await quota(owner))["held"] == 1


async def test_what_is_overdue_goes_back_by_itself(service: Service) -> None:
    owner = await an_owner(service)
    held = await reserve(owner, metric="debates", quantity=10, ttl_seconds=30)
    service.clock.advance(seconds=29)
    assert (await reserve(owner, metric="debates")).status_code == 402
    assert (await owner.client.get(f"{RESERVATIONS}/{held.json()['id']}")).json()["state"] == "held"
    service.clock.advance(seconds=1)
    await service.services[Reservations].expire()
    shown = (await owner.client.get(f"{RESERVATIONS}/{held.json()['id']}")).json()
    assert (shown["state"], shown["held"]) == ("expired", [])
    assert shown["amounts"][0]["returned"] == "10"
    assert (await quota(owner))["held"] == 0


async def test_a_refusal_first_gives_back_what_is_overdue(service: Service) -> None:
    owner = await an_owner(service)
    await reserve(owner, metric="debates", quantity=9, ttl_seconds=30)
    service.clock.advance(seconds=31)
    answers = await asyncio.gather(
        *(reserve(owner, metric="debates", quantity=each) for each in (1, 9, 1))
    )
    assert [answer.status_code for answer in answers] == [201, 201, 402]
    assert "idempotent-replayed" not in answers[0].headers


async def test_enforced_events_see_what_is_held(service: Service) -> None:
    owner = await an_owner(service)
    await reserve(owner, metric="debates", quantity=10)
    events = "/api/v1/usage/events"
    refused = await owner.client.post(events + "?enforce=true", json={"id": "e", "type": "debate"})
    assert (refused.status_code, refused.json()["held"]) == (402, 10)
    check = await owner.client.post("/api/v1/usage/check", json={"metric": "debates"})
    assert check.json()["allowed"] is False


async def test_what_is_not_limited_holds_nothing(service: Service) -> None:
    owner = await an_owner(service, "enterprise")
    answer = await reserve(owner, metric="debates", quantity=5, estimated_cost_usd="0.25")
    assert answer.status_code == 201, answer.text
    assert answer.json()["held"] == []
    assert answer.json()["amounts"][0]["granted"] == "0.25"
    assert (await quota(owner))["held"] == 0


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 422, "nothing_to_reserve"),
        ({"quantity": 1}, 422, "validation_failed"),
        ({"metric": "levitation"}, 422, "unknown_event_type"),
        ({"metric": "debates", "ttl_seconds": 86_401}, 422, "validation_failed"),
        ({"metric": "debates", "quantity": -1}, 422, "validation_failed"),
        ({"metric": "debates", "colour": "red"}, 422, "validation_failed"),
        ({"provider": "openai", "model": "gpt-4o", "tokens_in": 5}, 422, "validation_failed"),
        (
            {"provider": "none", "model": "such", "tokens_in": 5, "max_tokens_out": 0},
            422,
            "estimate_not_priced",
        ),
        (
            {"metric": "debates", "parent_id": "res_" + "0" * 26},
            404,
            "reservation_not_found",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(
    service: Service, asked: dict[str, Any], status: int, code: str
) -> None:
    owner = await an_owner(service)
    answer = await reserve(owner, **asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_a_strangers_reservation_is_not_there(service: Service) -> None:
    owner, stranger = await an_owner(service), await an_owner(service)
    held = (await reserve(owner, metric="debates")).json()["id"]
    for answer in (
        await stranger.client.get(f"{RESERVATIONS}/{held}"),
        await stranger.client.post(f"{RESERVATIONS}/{held}/release"),
        await reserve(stranger, metric="debates", parent_id=held),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "reservation_not_found")


async def test_a_model_and_its_tokens_are_an_estimate(service: Service) -> None:
    owner = await an_owner(service)
    answer = await reserve(
        owner, provider="openai", model="gpt-4o", tokens_in=1_000_000, max_tokens_out=100_000
    )
    assert answer.json()["amounts"][0]["granted"] == "3.5"


async def test_an_envelope_is_shared_out_and_taken_back(service: Service) -> None:
    owner = await an_owner(service)
    debate = await reserve(
        owner, metric="debates", quantity=6, estimated_cost_usd="3", debate_id="d"
    )
    envelope = debate.json()["id"]
    one = await reserve(
        owner, metric="debates", quantity=4, estimated_cost_usd="1", parent_id=envelope
    )
    assert one.status_code == 201, one.text
    assert one.json()["debate_id"] == "d", "a child has its parent's labels"
    assert (await quota(owner))["held"] == 6, "a child takes from its parent"
    refused = await reserve(owner, metric="debates", quantity=3, parent_id=envelope)
    assert (refused.status_code, refused.json()["remaining"]) == (402, "2")
    dear = await reserve(owner, estimated_cost_usd="2.01", parent_id=envelope)
    body = dear.json()
    assert (dear.status_code, body["code"], body["scope"]) == (
        402,
        "budget_exceeded",
        "reservation",
    )
    two = await reserve(owner, estimated_cost_usd="1.5", parent_id=one.json()["id"])
    assert two.status_code == 402
    back = await owner.client.post(f"{RESERVATIONS}/{one.json()['id']}/release")
    assert back.status_code == 200
    shown = (await owner.client.get(f"{RESERVATIONS}/{envelope}")).json()
    assert [each["remaining"] for each in shown["amounts"]] == ["3", "6"]
    assert (await quota(owner))["held"] == 6


@pytest.mark.parametrize("ending", ["release", "expire"])
async def test_children_keep_what_they_took(service: Service, ending: str) -> None:
    owner = await an_owner(service)
    parent = (await reserve(owner, metric="debates", quantity=6, ttl_seconds=60)).json()["id"]
    child = (
        await reserve(owner, metric="debates", quantity=4, parent_id=parent, ttl_seconds=600)
    ).json()["id"]
    grandchild = (
        await reserve(owner, metric="debates", quantity=1, parent_id=child, ttl_seconds=600)
    ).json()["id"]
    if ending == "release":
        await owner.client.post(f"{RESERVATIONS}/{parent}/release")
    else:
        service.clock.advance(seconds=60)
        await service.services[Reservations].expire()
    assert (await quota(owner))["held"] == 4, "two went back"
    late = await reserve(owner, metric="debates", parent_id=parent)
    assert (late.status_code, late.json()["code"]) == (409, "parent_reservation_over")
    await owner.client.post(f"{RESERVATIONS}/{child}/release")
    assert (await quota(owner))["held"] == 1, "the grandchild's"
    await owner.client.post(f"{RESERVATIONS}/{grandchild}/release")
    assert (await quota(owner))["held"] == 0


async def test_reservations_are_listed(service: Service) -> None:
    owner = await an_owner(service)
    first = (await reserve(owner, metric="debates", debate_id="a")).json()["id"]
    second = (await reserve(owner, metric="debates", parent_id=first)).json()["id"]
    await owner.client.post(f"{RESERVATIONS}/{second}/release")
    for query, expected in (
        ("", [second, first]),
        ("?state=held", [first]),
        (f"?parent_id={first}", [second]),
        ("?debate_id=b", []),
    ):
        page = await owner.client.get(RESERVATIONS + query)
        assert [row["id"] for row in page.json()["data"]] == expected, query
