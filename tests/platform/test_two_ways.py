"""The lane and the ordinary way give one answer to whatever is asked of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Receive, Scope, Send

from app import routes
from app.infra.http.edge import MAX_BODY_BYTES
from app.infra.http.lane import HotRoute, Lane
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.infra.telemetry.metrics import HTTP_SECONDS
from app.organizations.service import OrganizationService
from app.usage.service.ingest import UsageIngest
from tests.factories.people import Owner, an_owner, grant_plan
from tests.support.service import Service, an_app
from tests.support.wire import wired

EVENTS = "/api/v1/usage/events"
BATCH = f"{EVENTS}/batch"
QUOTA = "/api/v1/billing/quota"
SUBSCRIPTION = "/api/v1/billing/subscription"

RESERVATIONS = "/api/v1/usage/reservations"

NEW_ON_EACH_REQUEST = re.compile(r'(?:evt|res)_[0-9a-z]{26}|(?<="request_id": ")[0-9a-f]{32}')


@dataclass
class Ask:
    """One request."""

    method: str
    path: str
    content: Any = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    is_anonymous: bool = False

    def fits(self, app: FastAPI | str) -> bool:
        """Whether it can be asked there: a blank at a value's end does not travel."""
        return not isinstance(app, str) or all(value == value.strip() for _, value in self.headers)


def post(path: str, content: Any, *headers: tuple[str, str]) -> Ask:
    return Ask("POST", path, content, [("Content-Type", "application/json"), *headers])


def chunks(*parts: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return stream


DEBATE = b'{"id":"a","type":"debate","provider":"openai","model":"gpt-4o","tokens_in":1000000}'
CLOUD = (
    b'{"specversion":"1.0","id":"c","source":"/s","type":"com.example.debate",'
    b'"subject":"u","data":{"tokens_in":5}}'
)
CLOUD_TYPE = ("Content-Type", "application/cloudevents+json; charset=utf-8")
CLOUDS_TYPE = ("Content-Type", "application/cloudevents-batch+json")

ASKED: dict[str, list[Ask]] = {
    "recorded, repeated, in conflict": [
        post(EVENTS, DEBATE),
        post(EVENTS, DEBATE),
        post(EVENTS, DEBATE.replace(b"1000000", b"7")),
    ],
    "unpriced, fractional, odd names": [
        post(EVENTS, '{"id":"ä\\"\\\\\\n\\u001f☃","type":"tokens","tokens_in":3}'.encode()),
        post(EVENTS, b'{"id":"q","type":"debate","quantity":"0.000000000001"}'),
        post(EVENTS, b'{"id":"z","type":"debate","quantity":0}'),
        Ask("GET", QUOTA),
    ],
    "enforced": [
        post(f"{EVENTS}?enforce=true", b'{"id":"e1","type":"debate","quantity":1}'),
        post(f"{EVENTS}?enforce=1&x=y", b'{"id":"e2","type":"debate","quantity":1000000}'),
        post(f"{EVENTS}?enforce=No", b'{"id":"e3","type":"debate"}'),
        post(f"{EVENTS}?enforce=garbage", DEBATE),
        post(f"{EVENTS}?enforce=garbage&enforce=true", DEBATE),
        post(f"{EVENTS}?enforce=", DEBATE),
        post(f"{BATCH}?enforce=true", b'{"events":[{"id":"b","type":"debate","quantity":1e6}]}'),
        post(f"{BATCH}?enforce=what", b'{"events":[]}'),
    ],
    "not an event": [
        post(EVENTS, b""),
        post(EVENTS, b"nonsense"),
        post(EVENTS, b"[]"),
        post(EVENTS, b'{"id":"a"'),
        post(EVENTS, b'{"id":"a","type":"debate","surprise":1}'),
        post(EVENTS, b'{"id":"a","type":"levitation"}'),
        post(EVENTS, b'{"type":"debate"}'),
        post(EVENTS, b'{"id":"a","type":"debate","quantity":-1}'),
        post(EVENTS, b'{"id":"a","type":"debate","quantity":"NaN"}'),
        post(EVENTS, b'{"id":"a","type":"debate","tokens_in":1,"cached_tokens":2}'),
        post(EVENTS, b'{"id":"a","type":"debate","occurred_at":"2026-11-21T09:00:00"}'),
        post(EVENTS, b'{"id":"a","type":"debate","occurred_at":"2020-01-01T00:00:00Z"}'),
        post(EVENTS, b'{"id":"\xff","type":"debate"}'),
        post(EVENTS, b'{"id":"\\ud800","type":"debate"}'),
        post(EVENTS, b"[" * 100_000),
    ],
    "the key as id": [
        post(EVENTS, b'{"type":"debate"}', ("Idempotency-Key", "k-1")),
        post(EVENTS, b'{"type":"debate"}', ("Idempotency-Key", "k-1")),
        post(EVENTS, b'{"type":"debate"}', ("Idempotency-Key", "")),
        post(EVENTS, b'{"type":"debate"}', ("Idempotency-Key", "k" * 256)),
        post(EVENTS, b'{"type":"debate"}', ("Idempotency-Key", "one"), ("Idempotency-Key", "two")),
        post(BATCH, b'{"events":[{"type":"debate"}]}', ("Idempotency-Key", "k-1")),
    ],
    "batches": [
        post(BATCH, b'{"events":[%s,%s,{"id":"x","type":"no"},{"id":7},5]}' % (DEBATE, DEBATE)),
        post(BATCH, b'{"events":[%s,{"id":"x","type":"debate"}]}' % DEBATE),
        post(BATCH, b'{"events":[]}'),
        post(BATCH, b'{"events":[%s],"more":1}' % DEBATE),
        post(BATCH, b'{"events":[%s]}' % b",".join([b'{"id":"1","type":"debate"}'] * 1001)),
        post(BATCH, b"{}"),
    ],
    "CloudEvents": [
        Ask("POST", EVENTS, CLOUD, [CLOUD_TYPE]),
        Ask("POST", EVENTS, b"{}", [CLOUD_TYPE]),
        Ask("POST", EVENTS, b"no", [CLOUD_TYPE]),
        Ask("POST", BATCH, b"[%s,{}]" % CLOUD, [CLOUDS_TYPE]),
        Ask("POST", BATCH, b"{}", [CLOUDS_TYPE]),
    ],
    "other types of content": [
        Ask("POST", EVENTS, b'{"id":"t1","type":"debate"}', [("Content-Type", "text/plain")]),
        Ask("POST", EVENTS, b'{"id":"t2","type":"debate"}'),
        Ask("POST", EVENTS, b"id=t3", [("Content-Type", "application/x-www-form-urlencoded")]),
    ],
    "too large": [
        post(EVENTS, b" " * (MAX_BODY_BYTES + 1)),
        post(EVENTS, chunks(*[b" " * 65_536] * 17)),
        post(EVENTS, DEBATE + b" " * (MAX_BODY_BYTES - len(DEBATE))),
        Ask("GET", QUOTA, b" " * (MAX_BODY_BYTES + 1)),
    ],
    "in pieces": [post(EVENTS, chunks(DEBATE[:9], DEBATE[9:])), post(EVENTS, chunks())],
    "NUL": [
        post(EVENTS, b'{"id":"a\\u0000","type":"debate"}'),
        post(EVENTS, b'{"id":"a\\\\u0000","type":"debate"}'),
        post(EVENTS, b"\x00"),
        post(f"{EVENTS}?x=%00", DEBATE),
        Ask("GET", f"{QUOTA}?x=%00"),
    ],
    "subscriptions": [
        Ask("GET", SUBSCRIPTION),
        Ask("GET", "/api/billing/subscription"),
        Ask("GET", f"{SUBSCRIPTION}/"),
        Ask("POST", SUBSCRIPTION, b"{}"),
        Ask("GET", SUBSCRIPTION, is_anonymous=True),
    ],
    "reservations": [
        post(RESERVATIONS, b'{"metric":"debates","quantity":1,"ttl_seconds":60}'),
        post(RESERVATIONS, b'{"metric":"debates"}', ("Idempotency-Key", "r")),
        post(RESERVATIONS, b'{"metric":"debates"}', ("Idempotency-Key", "r")),
        post(RESERVATIONS, b'{"metric":"tts"}', ("Idempotency-Key", "r")),
        post(RESERVATIONS, b'{"metric":"debates","quantity":1000000}'),
        post(RESERVATIONS, b'{"metric":"levitation"}'),
        post(RESERVATIONS, b'{"surprise":1}'),
        *(
            post(f"{RESERVATIONS}/{name}/{what}", b'{"id":"a"}')
            for name in ("res_00000000000000000000000000", "res_x", "a%2Fb", "a/b", "")
            for what in ("commit", "release", "else")
        ),
        Ask("GET", f"{RESERVATIONS}/res_x/commit"),
        post(f"{RESERVATIONS}/commit", b"{}"),
    ],
    "nobody": [
        Ask("POST", EVENTS, DEBATE, is_anonymous=True),
        Ask("GET", QUOTA, is_anonymous=True),
        *(
            Ask("GET", QUOTA, None, [header], is_anonymous=True)
            for header in (
                ("Authorization", "Bearer nonsense"),
                ("Authorization", "Bearer "),
                ("Authorization", "Bearer"),
                ("Authorization", "Basic YTpi"),
                ("X-API-Key", "ara_nonsense"),
                ("X-API-Key", ""),
                ("Cookie", "session_token=nonsense"),
            )
        ),
    ],
    "other methods and paths": [
        Ask("HEAD", QUOTA),
        Ask("OPTIONS", QUOTA),
        Ask("PUT", EVENTS, DEBATE),
        Ask("DELETE", QUOTA),
        Ask("POST", f"{EVENTS}/", DEBATE),
        Ask("GET", f"{QUOTA}/"),
        Ask("GET", f"{QUOTA}?what=1&enforce=garbage"),
        Ask("GET", "/api/billing/quota"),
        Ask("GET", "/api/v1/billing/%71uota"),
        Ask("GET", "/api/v1//billing/quota"),
        Ask("GET", EVENTS),
    ],
    "ids of requests": [
        Ask("GET", QUOTA, None, [("X-Request-ID", "mine.1")]),
        Ask("GET", QUOTA, None, [("X-Request-ID", "not mine")]),
        Ask("POST", EVENTS, b"{}", [("X-Request-ID", "mine.2")]),
        Ask("GET", QUOTA, None, [("X-Request-ID", "a"), ("X-Request-ID", "b")]),
    ],
    "a page of another site": [Ask("GET", QUOTA, None, [("Origin", "https://example.com")])],
}


@dataclass
class Seen:
    """What there is to see of an answer, without what is new each time."""

    status: int
    headers: list[tuple[str, str]]
    body: str
    counted: dict[tuple[str, ...], float]


def counts() -> dict[tuple[str, ...], float]:
    # Collected, it makes a sample of every bucket, and whole suites have filled thousands of them.
    children: dict[Any, Any] = dict(HTTP_SECONDS._metrics)
    return {
        labels: sum(bucket.get() for bucket in child._buckets) for labels, child in children.items()
    }


def client_of(app: FastAPI | str) -> httpx.AsyncClient:
    """Of an application in this process, or of what listens at an address."""
    if isinstance(app, str):
        return httpx.AsyncClient(base_url=app, verify=False)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")


async def see(app: FastAPI | str, ask: Ask, token: str | None) -> Seen:
    """What an application answers, in this process or at its address."""
    before = counts()
    content = ask.content() if callable(ask.content) else ask.content
    headers = list(ask.headers)
    if token is not None and not ask.is_anonymous:
        headers.append(("Authorization", f"Bearer {token}"))
    async with client_of(app) as client:
        answer = await client.request(ask.method, ask.path, content=content, headers=headers)
    given = [value for name, value in ask.headers if name == "X-Request-ID"]
    shown = answer.headers["x-request-id"]
    assert shown in given or re.fullmatch("[0-9a-f]{32}", shown)
    counted = {key: value - before.get(key, 0) for key, value in counts().items()}
    return Seen(
        answer.status_code,
        sorted(
            (name, "" if name == "x-request-id" and shown not in given else value)
            for name, value in answer.headers.multi_items()
        ),
        NEW_ON_EACH_REQUEST.sub("…", answer.text),
        {key: value for key, value in counted.items() if value},
    )


@dataclass
class Ways:
    """Two applications on the same services, and two organizations that stand alike."""

    with_lane: FastAPI | str
    ordinary: FastAPI
    first: Owner
    second: Owner

    async def compare(self, asked: list[Ask]) -> list[Seen]:
        """Ask both ways, each for an organization of its own."""
        return [
            _same(
                ask,
                await see(self.with_lane, ask, self.first.token),
                await see(self.ordinary, ask, self.second.token),
            )
            for ask in asked
            if ask.fits(self.with_lane)
        ]

    async def compare_for_one(self, *asked: Ask) -> list[Seen]:
        """Ask both ways with the credentials that the requests themselves carry."""
        return [
            _same(ask, await see(self.with_lane, ask, None), await see(self.ordinary, ask, None))
            for ask in asked
        ]


def _same(ask: Ask, short: Seen, long: Seen) -> Seen:
    assert short == long, f"{ask.method} {ask.path} {str(ask.content)[:200]}"
    return short


@pytest.fixture(params=["called", "connected"])
async def ways(service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Ways]:
    """The lane is called by the framework, or its requests are answered on their connection."""
    first, second = await an_owner(service), await an_owner(service)
    for each in (first, second):
        assert (await each.client.get("/api/v1/auth/me")).status_code == 200
    ordinary = an_app(service.services, with_lane=False)
    if request.param == "called":
        yield Ways(service.app, ordinary, first, second)
        return
    async with wired(service.app) as wire:
        yield Ways(wire.url, ordinary, first, second)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
async def test_both_ways_answer_the_same(ways: Ways, asked: list[Ask]) -> None:
    await ways.compare(asked)


async def test_a_reservation_is_settled_alike_both_ways(ways: Ways) -> None:
    asked = post(RESERVATIONS, b'{"metric":"debates","quantity":1}')
    steps = (
        ("commit", b'{"id":"part","tokens_in":5,"final":false}', 200),
        ("commit", b'{"id":"rest","tokens_in":"x"}', 422),
        ("commit", b'{"id":"rest","quantity":1}', 200),
        ("release", b"", 200),
        ("commit", b'{"id":"more"}', 409),
    )
    seen: list[list[Seen]] = []
    for app, owner in ((ways.with_lane, ways.first), (ways.ordinary, ways.second)):
        token = ("Authorization", f"Bearer {owner.token}")
        async with client_of(app) as client:
            answer = await client.post(RESERVATIONS, content=asked.content, headers=[token])
        assert answer.status_code == 201, answer.text
        path = f"{RESERVATIONS}/{answer.json()['id']}"
        seen.append(
            [await see(app, post(f"{path}/{what}", body), owner.token) for what, body, _ in steps]
        )
    assert seen[0] == seen[1]
    assert [each.status for each in seen[0]] == [status for _, _, status in steps]


async def test_a_difference_would_be_noticed(ways: Ways) -> None:
    await ways.compare([post(EVENTS, DEBATE)])
    await see(ways.with_lane, post(EVENTS, b'{"id":"more","type":"debate"}'), ways.first.token)
    with pytest.raises(AssertionError, match="GET /api/v1/billing/quota"):
        await ways.compare([Ask("GET", QUOTA)])


def get_with(*headers: tuple[str, str]) -> Ask:
    return Ask("GET", QUOTA, None, list(headers))


async def test_a_revoked_caller_is_refused_both_ways(ways: Ways) -> None:
    ask = get_with(("Authorization", f"Bearer {ways.first.token}"))
    assert [each.status for each in await ways.compare_for_one(ask, ask)] == [200, 200]
    await ways.first.client.post("/api/v1/auth/logout")
    assert [each.status for each in await ways.compare_for_one(ask, ask)] == [401, 401]


async def test_keys_are_held_to_their_scopes_both_ways(service: Service, ways: Ways) -> None:
    await grant_plan(service, ways.first.organization_id, "professional")
    answer = await ways.first.client.post(
        "/api/v1/auth/api-keys", json={"name": "k", "scopes": ["usage.read"]}
    )
    key = answer.json()["key"]
    event = b'{"id":"by-key","type":"debate"}'
    for header in (("X-API-Key", key), ("Authorization", f"Bearer {key}")):
        seen = await ways.compare_for_one(
            get_with(header), get_with(header), Ask("POST", EVENTS, event, [header])
        )
        assert [each.status for each in seen] == [200, 200, 403]
    # A token is no key, known or not.
    token = get_with(("X-API-Key", ways.first.token))
    assert [each.status for each in await ways.compare_for_one(token)] == [401]
    await service.services[OrganizationService].suspend(ways.first.organization_id, "test")
    assert (await ways.compare_for_one(get_with(("X-API-Key", key))))[0].status == 403


async def test_a_cookie_writes_only_with_its_csrf_token_both_ways(ways: Ways) -> None:
    owner = ways.first
    answer = await owner.client.post(
        "/api/v1/auth/session", json={"email": owner.email, "password": owner.password}
    )
    value = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
    cookie = ("Cookie", f"session_token={value}")
    csrf = ("X-CSRF-Token", answer.json()["csrf_token"])
    event = b'{"id":"by-cookie","type":"debate"}'
    seen = await ways.compare_for_one(
        get_with(cookie),
        Ask("POST", EVENTS, event, [cookie]),
        Ask("POST", EVENTS, event, [cookie, ("X-CSRF-Token", "wrong")]),
    )
    assert [each.status for each in seen] == [200, 403, 403]
    accepted = await see(ways.with_lane, Ask("POST", EVENTS, event, [cookie, csrf]), None)
    assert accepted.status == 201
    (repeated,) = await ways.compare_for_one(Ask("POST", EVENTS, event, [cookie, csrf]))
    assert repeated.status == 200
    # A cookie in the place of a token proves nothing.
    (refused,) = await ways.compare_for_one(get_with(("Authorization", f"Bearer cookie:{value}")))
    assert refused.status == 401


async def test_while_it_stops_both_ways_say_when_to_come_back(ways: Ways, service: Service) -> None:
    ingest = service.services[UsageIngest]
    await ingest.close()
    try:
        seen = await ways.compare([post(EVENTS, DEBATE), post(BATCH, b'{"events":[%s]}' % DEBATE)])
    finally:
        await ingest.open()
    assert [each.status for each in seen] == [503, 503]
    assert all("retry-after" in dict(each.headers) for each in seen)


async def test_pages_of_configured_origins_are_answered_both_ways(
    service: Service, ways: Ways
) -> None:
    settings = service.services[Settings]
    services = Services()
    for kind, one in vars(service.services)["_by_type"].items():
        services.add(kind, one if kind is not Settings else _sharing(settings))
    shared = Ways(
        an_app(services),
        an_app(services, with_lane=False),
        ways.first,
        ways.second,
    )
    ours, other = ("Origin", "https://ours.example"), ("Origin", "https://other.example")
    seen = await shared.compare(
        [
            get_with(ours),
            get_with(other),
            get_with(),
            post(EVENTS, DEBATE, ours),
            Ask("OPTIONS", QUOTA, None, [ours, ("Access-Control-Request-Method", "GET")]),
        ]
    )
    allowed = [dict(each.headers).get("access-control-allow-origin") for each in seen]
    assert allowed == [ours[1], None, None, ours[1], ours[1]]


def _sharing(settings: Settings) -> Settings:
    return settings.model_copy(update={"cors_origins": ("https://ours.example",)})


class Handed:
    """Stands where the framework stands, and notes what is handed on to it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["method"] != "GET"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_the_lane_takes_what_is_plain_and_hands_on_the_rest(
    service: Service, ways: Ways
) -> None:
    handed = Handed()
    lane = Lane(
        handed,
        service.services,
        routes.HOT_OPERATIONS,
        prefix=routes.API_PREFIX,
        headers={},
        aliases=routes.ALIASES,
        is_shared=True,
    )
    known = ("Authorization", f"Bearer {ways.first.token}")

    async def status(ask: Ask) -> int:
        transport = httpx.ASGITransport(lane)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answer = await client.request(
                ask.method, ask.path, content=ask.content, headers=[*ask.headers, known]
            )
        return answer.status_code

    for plain in (
        post(EVENTS, DEBATE),
        post(BATCH, b'{"events":[]}'),
        Ask("GET", QUOTA),
        Ask("GET", SUBSCRIPTION),
        Ask("GET", "/api/billing/quota"),
        post(RESERVATIONS, b"{}"),
        post(f"{RESERVATIONS}/res_x/release", b""),
    ):
        assert await status(plain) != 418, plain
    assert handed.bodies == []
    for other in (
        post(EVENTS, b"\x00"),
        Ask("GET", f"{QUOTA}?a=%00"),
        get_with(("Origin", "https://example.com")),
        get_with(("X-Twice", "1"), ("X-Twice", "2")),
        Ask("DELETE", QUOTA),
        Ask("GET", f"{QUOTA}/"),
    ):
        assert await status(other) == 418, other
    # What was read of a request is handed on as well.
    assert handed.bodies[0] == b"\x00"
    known = ("Authorization", "Bearer nobody")
    assert await status(post(EVENTS, DEBATE)) == 418
    assert handed.bodies[-1] == DEBATE


def test_every_hot_operation_is_declared(service: Service) -> None:
    declared = {
        (method, route.path): route.original_route
        for route in iter_route_contexts(service.app.routes)
        for method in route.methods or ()
    }
    for method, path, _ in routes.HOT_OPERATIONS:
        assert isinstance(declared[method, routes.API_PREFIX + path], HotRoute)
