"""What is let into the inbox, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.webhooks.domain import SignedEvent
from app.webhooks.service.intake import StripeIntake
from tests.conftest import START
from tests.support.service import Service, an_app, running
from tests.support.stripe_events import (
    OLDER_SECRET,
    PATH,
    SECRET,
    an_event,
    encoded,
    signature,
)


async def post(
    client: httpx.AsyncClient, body: bytes, *secrets: str, path: str = PATH
) -> httpx.Response:
    headers = {"Stripe-Signature": signature(body, START, *secrets)}
    return await client.post(path, content=body, headers=headers)


async def rows(service: Service, what: str) -> list[Any]:
    async with service.work.begin_platform() as session:
        return list((await session.execute(text(what))).mappings())


async def stored(service: Service) -> list[Any]:
    return await rows(service, "select * from stripe_events")


async def jobs(service: Service) -> list[Any]:
    return await rows(
        service, "select * from pgqueuer where entrypoint = 'webhooks.handle_stripe_event'"
    )


EVENT = an_event("invoice.paid", {"id": "in_1", "object": "invoice", "é": "…"}, START)


async def test_a_signed_event_is_kept_as_it_was_signed_with_its_job(
    service: Service, client: httpx.AsyncClient
) -> None:
    body = encoded(EVENT)
    answer = await post(client, body)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    [row] = await stored(service)
    assert row["event_id"] == EVENT["id"]
    assert row["type"] == "invoice.paid"
    assert row["object_id"] == "in_1"
    assert row["api_version"] == "2026-10-28.endive"
    assert row["occurred_at"] == START
    assert row["state"] == "pending"
    assert row["payload"].encode() == body
    assert len(await jobs(service)) == 1


async def test_twenty_at_once_are_one(service: Service) -> None:
    body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
    async with service.client() as client:
        answers = await asyncio.gather(*(post(client, body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await stored(service)) == 1
    assert len(await jobs(service)) == 1


@pytest.mark.parametrize("path", [PATH, "/webhooks/stripe", "/api/billing/webhook"])
async def test_the_requirements_paths_answer_the_same(
    service: Service, client: httpx.AsyncClient, path: str
) -> None:
    body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
    assert (await post(client, body, path=path)).status_code == 200
    assert len(await stored(service)) == 1


async def test_both_secrets_count_while_they_rotate(
    service: Service, client: httpx.AsyncClient
) -> None:
    for secrets in ([SECRET], [OLDER_SECRET], ["whsec_newest", OLDER_SECRET]):
        body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
        assert (await post(client, body, *secrets)).status_code == 200
    assert len(await stored(service)) == 3


async def test_a_thin_event_is_kept_too(service: Service, client: httpx.AsyncClient) -> None:
    thin = {
        "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.past_due",
        "created": "2026-11-21T09:00:00.000Z",
        "livemode": False,
        "related_object": {
            "id": "sub_1",
            "type": "subscription",
            "url": "/v1/subscriptions/sub_1",
        },
    }
    assert (await post(client, encoded(thin))).status_code == 200
    [row] = await stored(service)
    assert (row["is_thin"], row["object_id"], row["occurred_at"]) == (True, "sub_1", START)


GARBAGE = [
    b"",
    b"[]",
    b'"x"',
    b"null",
    b"7",
    b"not json",
    b"{}",
    b'{"id": "evt_1"}',
    b"\xff\xfe{}",
    b'{"id": "evt_\xff"}',
    b"[" * 100_000,
    json.dumps({**EVENT, "id": None}).encode(),
    json.dumps({**EVENT, "id": 7}).encode(),
    json.dumps({**EVENT, "id": ""}).encode(),
    json.dumps({**EVENT, "id": "evt 1"}).encode(),
    json.dumps({**EVENT, "id": "evt_1\n"}).encode(),
    json.dumps({**EVENT, "id": "evt_\ud800"}).encode(),
    json.dumps({**EVENT, "id": "e" * 256}).encode(),
    json.dumps({**EVENT, "id": "evt_\0"}).encode(),
    json.dumps({**EVENT, "type": "a\0b"}).encode(),
    json.dumps({**EVENT, "type": None}).encode(),
    json.dumps({**EVENT, "type": "a" * 256}).encode(),
    json.dumps({**EVENT, "livemode": "yes"}).encode(),
    json.dumps({**EVENT, "object": "invoice"}).encode(),
    json.dumps({**EVENT, "data": []}).encode(),
    json.dumps({**EVENT, "data": None}).encode(),
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_signed_garbage_is_refused_and_not_kept(
    service: Service, client: httpx.AsyncClient, body: bytes
) -> None:
    answer = await post(client, body)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert await stored(service) == []
    assert await jobs(service) == []


ODD = [
    {"created": -1},
    {"created": 10**30},
    {"created": None},
    {"created": True},
    {"created": "soon"},
    {"api_version": None},
    {"api_version": "x" * 101},
    {"api_version": "\ud800"},
    {"data": {"object": None}},
    {"data": {"object": {"id": 7}}},
    {"data": {"object": {"id": "\ud800"}}},
    {"extra": "\ud800"},
]


@pytest.mark.parametrize("change", ODD, ids=range(len(ODD)))
async def test_odd_but_signed_events_are_kept(
    service: Service, client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    event = {**an_event("invoice.paid", {"id": "in_1"}, START), **change}
    assert (await post(client, json.dumps(event).encode())).status_code == 200
    [row] = await stored(service)
    assert json.loads(row["payload"]) == event


async def test_what_arrives_together_is_written_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    keep = StripeIntake._keep

    async def counted(self: StripeIntake, events: Sequence[SignedEvent]) -> set[str]:
        groups.append(len(events))
        return await keep(self, events)

    monkeypatch.setattr(StripeIntake, "_keep", counted)
    bodies = [encoded(an_event("invoice.paid", {"id": f"in_{n}"}, START)) for n in range(50)]
    async with service.client() as client:
        answers = await asyncio.gather(*(post(client, body) for body in [*bodies, *bodies]))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(groups) == 100
    assert len(groups) < 50
    assert len(await stored(service)) == len(await jobs(service)) == 50


async def test_one_that_cannot_be_stored_fails_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = StripeIntake._keep

    async def choosy(self: StripeIntake, events: Sequence[SignedEvent]) -> set[str]:
        if any(event.object_id == "in_3" for event in events):
            raise RuntimeError("not this one")
        return await keep(self, events)

    monkeypatch.setattr(StripeIntake, "_keep", choosy)
    bodies = [encoded(an_event("invoice.paid", {"id": f"in_{n}"}, START)) for n in range(8)]
    async with service.client() as client:
        answers = await asyncio.gather(*(post(client, body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 500, 200, 200, 200, 200]
    assert len(await stored(service)) == 7


async def test_two_megabytes_are_too_much(service: Service, client: httpx.AsyncClient) -> None:
    body = encoded(an_event("invoice.paid", {"id": "in_1", "x": "y" * 2 * 1024 * 1024}, START))
    assert (await post(client, body)).status_code == 413
    assert await stored(service) == []


async def test_an_unsigned_event_is_refused(service: Service, client: httpx.AsyncClient) -> None:
    body = encoded(EVENT)
    for headers in ({}, {"Stripe-Signature": signature(body, START, "whsec_strange")}):
        answer = await client.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    assert await stored(service) == []


async def test_without_a_secret_the_route_is_off(fresh_url: Any, clock: Any) -> None:
    async with running(fresh_url, clock) as service, service.client() as client:
        answer = await post(client, encoded(EVENT))
        assert (answer.status_code, answer.json()["code"]) == (503, "webhook_secret_missing")


async def test_it_costs_one_statement(service: Service, client: httpx.AsyncClient) -> None:
    """An event and its job, a repeat, and forty at once: one statement each, with its commit."""
    await post(client, encoded(an_event("invoice.paid", {"id": "in_0"}, START)))
    connection = service.services[StripeIntake]._connection
    assert connection is not None
    statements: list[str] = []

    def count(record: Any) -> None:
        statements.append(record.query)

    connection.add_query_logger(count)
    try:
        body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
        await post(client, body)
        assert len(statements) == 1
        await post(client, body)
        assert len(statements) == 2
        bodies = [encoded(an_event("invoice.paid", {"id": f"in_{n}"}, START)) for n in range(40)]
        await asyncio.gather(*(post(client, each) for each in bodies))
        assert len(statements) <= 6, "what comes meanwhile goes together"
    finally:
        connection.remove_query_logger(count)
    assert len(await jobs(service)) == 42


async def test_a_lost_connection_is_replaced_and_nothing_is_kept_twice(
    service: Service, client: httpx.AsyncClient
) -> None:
    intake = service.services[StripeIntake]
    await post(client, encoded(an_event("invoice.paid", {"id": "in_0"}, START)))
    lost = intake._connection
    assert lost is not None
    async with service.work.begin_platform() as session:
        await session.execute(
            text("select pg_terminate_backend(:pid)"), {"pid": lost.get_server_pid()}
        )
    body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
    answers = await asyncio.gather(*(post(client, body) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert intake._connection is not lost
    assert len(await stored(service)) == len(await jobs(service)) == 2


async def test_a_database_that_is_away_is_said_so(
    service: Service, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = service.services[StripeIntake]

    async def away() -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(intake, "_connect", away)
    monkeypatch.setattr(intake, "_connection", None)
    bodies = [encoded(an_event("invoice.paid", {"id": f"in_{n}"}, START)) for n in range(5)]
    answers = await asyncio.gather(*(post(client, body) for body in bodies))
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
    assert await stored(service) == []


@pytest.mark.parametrize("with_lane", [True, False])
async def test_either_way_into_the_service_answers_the_same(
    service: Service, with_lane: bool
) -> None:
    app = an_app(service.services, with_lane=with_lane)
    transport = httpx.ASGITransport(app)
    body = encoded(an_event("invoice.paid", {"id": "in_1"}, START))
    signed = {"Stripe-Signature": signature(body, START)}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        good = await client.post(PATH, content=body, headers=signed)
        bad = await client.post(PATH, content=body + b" ", headers=signed)
        unsigned = await client.post(PATH, content=body)
        odd = await client.post(
            PATH, content=body, headers={b"Stripe-Signature": "t=é,v1=ü".encode("latin-1")}
        )
    assert (good.status_code, good.content) == (200, b'{"received":true}')
    assert good.headers["content-type"] == "application/json"
    for answer in (bad, unsigned, odd):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
