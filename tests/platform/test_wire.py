"""Requests that the lane answers where their bytes arrive, over real connections."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.infra.http.lane import HotAnswer, HotOperation, HotRequest, Lane
from app.infra.http.provide import Services
from app.infra.telemetry.context import request_id
from app.kernel.errors import LimitReached
from app.kernel.principal import Permission
from app.usage.service.ingest import UsageIngest
from tests.factories.people import Owner, an_owner
from tests.support.service import Service
from tests.support.wire import Wired, hear, wired

EVENTS = "/api/v1/usage/events"
QUOTA = "/api/v1/billing/quota"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture
async def owner(service: Service) -> Owner:
    found = await an_owner(service)
    assert (await found.client.get("/api/v1/auth/me")).status_code == 200
    return found


@pytest.fixture
async def wire(service: Service) -> AsyncIterator[Wired]:
    async with wired(service.app, timeout_keep_alive=1) as found:
        yield found


def request(owner: Owner, method: str, path: str, body: bytes = b"", *lines: str) -> bytes:
    own = [f"Content-Length: {len(body)}"] if not any("hunked" in line for line in lines) else []
    head = [
        f"{method} {path} HTTP/1.1",
        "Host: here",
        f"Authorization: Bearer {owner.token}",
        *own,
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def event(name: str) -> bytes:
    return json.dumps({"id": name, "type": "debate"}).encode()


def statuses(heard: bytes) -> list[int]:
    return [int(found) for found in STATUS.findall(heard)]


async def recorded(service: Service, owner: Owner) -> list[str]:
    async with service.work.begin(owner.organization_id) as session:
        found = await session.execute(
            text("select event_key from usage_events where organization_id = :id order by 1"),
            {"id": owner.organization_id},
        )
        return list(found.scalars())


async def test_a_plain_request_never_becomes_an_asgi_one(
    wire: Wired, service: Service, owner: Owner
) -> None:
    heard = await wire.say(request(owner, "POST", EVENTS, event("a"), "X-Request-ID: mine"))
    head, _, body = heard.partition(b"\r\n\r\n")
    assert statuses(heard) == [201]
    assert b"x-request-id: mine\r\n" in head + b"\r\n"
    assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"
    assert json.loads(body)["status"] == "recorded"
    assert wire.handed == []
    assert await recorded(service, owner) == ["a"]


@pytest.mark.parametrize(
    ("line", "path", "method", "body"),
    [
        ("Transfer-Encoding: chunked", EVENTS, "POST", b"%x\r\n%b\r\n0\r\n\r\n"),
        ("Expect: 100-continue", EVENTS, "POST", b""),
        ("Connection: close", EVENTS, "POST", b""),
        ("Connection: Upgrade\r\nUpgrade: h2c", EVENTS, "POST", b""),
        ("Authorization: Bearer nobody", EVENTS, "POST", b""),
        ("X: y", f"{EVENTS}?a=%00", "POST", b""),
        ("X: y", "/api/v1/usage/%65vents", "POST", b""),
        ("X: y", f"http://here{EVENTS}", "POST", b""),
        ("X: y", QUOTA, "GET", b""),
    ],
)
async def test_what_is_not_plain_is_handed_on(
    wire: Wired, owner: Owner, line: str, path: str, method: str, body: bytes
) -> None:
    content = event("a")
    content = body % (len(content), content) if body else content
    answers = 2 if "Expect" in line else 1
    heard = await wire.say(request(owner, method, path, content, line), answers=answers)
    assert statuses(heard)[-1] < 500
    assert len(wire.handed) == 1, heard


async def test_a_body_comes_in_pieces(wire: Wired, service: Service, owner: Owner) -> None:
    whole = request(owner, "POST", EVENTS, event("pieces"))
    pieces = [whole[at : at + 11] for at in range(0, len(whole), 11)]
    assert statuses(await wire.say(*pieces, pause=0.001)) == [201]
    assert wire.handed == []
    assert await recorded(service, owner) == ["pieces"]


async def test_what_the_body_forbids_is_handed_on_whole(
    wire: Wired, service: Service, owner: Owner
) -> None:
    heard = await wire.say(
        request(owner, "POST", EVENTS, b"\x00" + event("a")),
        request(owner, "POST", EVENTS, event("b")),
        answers=2,
        pause=0.1,
    )
    assert statuses(heard) == [422, 201]
    assert wire.handed == [EVENTS]
    assert b'"code":"malformed"' in heard.replace(b" ", b"")
    assert await recorded(service, owner) == ["b"]


async def test_too_large_a_body_is_refused(wire: Wired, owner: Owner) -> None:
    whole = request(owner, "POST", EVENTS, b"x" * (1024 * 1024 + 1))
    heard = await wire.say(whole[:2000])
    assert statuses(heard) == [413]


async def test_pipelined_requests_are_answered_in_their_order(
    wire: Wired, service: Service, owner: Owner
) -> None:
    asked = [
        request(owner, "POST", EVENTS, event("1"), "X-Request-ID: r1"),
        request(owner, "GET", QUOTA, b"", "X-Request-ID: r2"),
        request(owner, "GET", "/health/live", b"", "X-Request-ID: r3"),
        request(owner, "POST", EVENTS, event("2"), "X-Request-ID: r4"),
        request(owner, "POST", EVENTS, b"{", "X-Request-ID: r5"),
    ]
    heard = await wire.say(b"".join(asked), answers=len(asked))
    assert statuses(heard) == [201, 200, 200, 201, 422]
    assert re.findall(rb"x-request-id: (r\d)", heard) == [b"r1", b"r2", b"r3", b"r4", b"r5"]
    assert await recorded(service, owner) == ["1", "2"]


async def test_one_connection_serves_both_kinds_in_turn(wire: Wired, owner: Owner) -> None:
    reader, writer = await wire.open()
    for number in range(6):
        hot = number % 2 == 0
        path, body = (EVENTS, event(str(number))) if hot else ("/health/live", b"")
        writer.write(request(owner, "POST" if hot else "GET", path, body))
        assert statuses(await hear(reader, 1)) == [201 if hot else 200]
    writer.close()
    assert wire.handed == ["/health/live"] * 3


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(
    wire: Wired, owner: Owner
) -> None:
    reader, writer = await wire.open()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for number in range(4):
        writer.write(request(owner, "POST", EVENTS, event(str(number))))
        assert statuses(await reader.read(65536)) == [201]
        await asyncio.sleep(0.4)
    last = loop.time()
    assert last - begun > 1.5
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert loop.time() - last > 0.5
    writer.close()


async def test_a_client_that_leaves_does_not_take_its_event_back(
    wire: Wired, service: Service, owner: Owner
) -> None:
    _, writer = await wire.open()
    writer.write(request(owner, "POST", EVENTS, event("gone")))
    await writer.drain()
    writer.transport.abort()
    async with asyncio.timeout(10):
        while await recorded(service, owner) != ["gone"]:
            await asyncio.sleep(0.02)
    assert statuses(await wire.say(request(owner, "POST", EVENTS, event("next")))) == [201]


async def test_a_server_that_leaves_answers_what_it_has_taken(
    service: Service, owner: Owner
) -> None:
    slow = _Slow()
    async with wired(_Front(service, slow.operation), timeout_keep_alive=60) as found:
        reader, writer = await found.open()
        writer.write(request(owner, "GET", "/hot"))
        await slow.begun.wait()
        (connection,) = found.state.connections
        connection.shutdown()
        slow.may_end.set_result(None)
        heard = await hear(reader, 1)
        assert statuses(heard) == [200]
        assert b"connection: close\r\n" in heard
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_a_server_that_says_farewell_closes_after_the_answer(
    service: Service, owner: Owner
) -> None:
    async with wired(service.app, timeout_keep_alive=60) as wire:
        wire.state.default_headers = [(b"x-first", b"1")]
        kept = await wire.say(request(owner, "POST", EVENTS, event("a")))
        wire.state.default_headers.append((b"connection", b"close"))
        reader, writer = await wire.open()
        writer.write(request(owner, "POST", EVENTS, event("b")))
        heard = await hear(reader, 1)
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
    assert statuses(kept) == statuses(heard) == [201]
    assert b"x-first: 1\r\n" in kept
    assert b"connection" not in kept
    assert b"connection: close\r\n" in heard


async def test_while_ingest_stops_callers_hear_when_to_come_back(
    wire: Wired, service: Service, owner: Owner
) -> None:
    ingest = service.services[UsageIngest]
    await ingest.close()
    try:
        heard = await wire.say(request(owner, "POST", EVENTS, event("a")))
    finally:
        await ingest.open()
    assert statuses(heard) == [503]
    assert re.search(rb"(?i)retry-after: \d", heard)
    assert wire.handed == []


class _Slow:
    """An operation that a test lets end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.operation = HotOperation(Permission.USAGE_READ, self._run, is_light=True)

    async def _run(self, services: Services, request: HotRequest) -> HotAnswer:
        self.begun.set()
        await self.may_end
        return 200, b"{}"


class Trouble(LimitReached):
    """Not so fast."""


async def _boom(services: Services, request: HotRequest) -> HotAnswer:
    await asyncio.sleep(0)
    raise RuntimeError("the secret is 1234")


async def _cancelled(services: Services, request: HotRequest) -> HotAnswer:
    raise asyncio.CancelledError


async def _limited(services: Services, request: HotRequest) -> HotAnswer:
    await asyncio.sleep(0.01)
    raise Trouble(retry_after_seconds=7)


async def _named(services: Services, request: HotRequest) -> HotAnswer:
    before = request_id.get()
    await asyncio.sleep(0.01)
    assert request_id.get() == before
    return 200, json.dumps(before).encode(), [(b"x-own", b"1")]


class _Front:
    """An application with a lane of one operation, and nothing behind it."""

    def __init__(self, service: Service, operation: HotOperation) -> None:
        operations = [("GET", "/hot", operation)]
        self.front = Lane(self, service.services, operations, prefix="", headers={})

    async def __call__(self, *_: object) -> None:
        raise AssertionError("not the lane's")


@pytest.mark.parametrize("is_light", [True, False])
@pytest.mark.parametrize(
    ("handle", "status"), [(_boom, 500), (_cancelled, 500), (_limited, 429), (_named, 200)]
)
async def test_operations_end_alike_with_a_task_and_without(
    service: Service, owner: Owner, handle: object, status: int, is_light: bool
) -> None:
    operation = HotOperation(Permission.USAGE_READ, handle, is_light)  # type: ignore[arg-type]
    name = uuid4().hex
    async with wired(_Front(service, operation)) as found:
        heard = await found.say(request(owner, "GET", "/hot", b"", f"X-Request-ID: {name}"))
    assert statuses(heard) == [status]
    assert b"1234" not in heard
    if handle is not _cancelled:
        # In the header and in the body, whichever way the context took.
        assert heard.count(name.encode()) == 2
    assert (handle is _limited) == (b"retry-after: 7\r\n" in heard)
    assert (handle is _named) == (b"x-own: 1\r\n" in heard)


async def test_a_slow_reader_is_not_answered_without_end(wire: Wired, owner: Owner) -> None:
    """Answers that nobody reads stop the reading of further requests."""
    _, writer = await wire.open()
    asked = b"".join(request(owner, "GET", f"{QUOTA}?n={n}", b"") for n in range(20_000))
    writer.write(asked)
    await asyncio.sleep(1)
    (connection,) = wire.state.connections
    held = connection.transport.get_write_buffer_size()
    assert held < 1_000_000
    writer.transport.abort()
