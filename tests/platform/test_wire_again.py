"""A connection that sends the same head again, over real connections."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.infra.http.lane import HotAnswer, HotOperation, HotRequest, Lane
from app.infra.http.provide import Services
from app.infra.http.wire import LaneProtocol
from app.kernel.principal import Permission
from tests.factories.people import Owner, an_owner
from tests.support.service import Service
from tests.support.wire import Wired, hear, wired

SEED = 20_261_121
STREAMS = 60


async def _echo(services: Services, request: HotRequest) -> HotAnswer:
    if request.body == b"late":
        await asyncio.sleep(0.02)
    return 200, json.dumps([request.name, request.query.decode(), request.body.decode()]).encode()


class _Front:
    """An application with a lane of two operations; behind it everything is echoed as well."""

    def __init__(self, service: Service) -> None:
        echo = HotOperation(Permission.USAGE_READ, _echo, is_light=True)
        operations = [("POST", "/hot/{name}", echo), ("GET", "/hot/{name}", echo)]
        self.front = Lane(self, service.services, operations, prefix="", headers={})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        name = request.url.path.removeprefix("/hot/")
        said = (await request.body()).decode()
        await JSONResponse([name, request.url.query, said])(scope, receive, send)


@pytest.fixture
async def owner(service: Service) -> Owner:
    found = await an_owner(service)
    assert (await found.client.get("/api/v1/auth/me")).status_code == 200
    return found


@pytest.fixture
def heads_read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The targets of the heads that were read, of connections made from now on."""
    found: list[bytes] = []
    reads = LaneProtocol.on_headers_complete

    def noted(self: LaneProtocol) -> None:
        found.append(self.url)
        reads(self)

    monkeypatch.setattr(LaneProtocol, "on_headers_complete", noted)
    return found


@pytest.fixture
async def front(service: Service) -> AsyncIterator[Wired]:
    async with wired(_Front(service)) as found:
        yield found


def asked(owner: Owner, method: str, target: str, body: bytes = b"") -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {owner.token}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes
) -> tuple[int, bytes]:
    writer.write(said)
    head, _, body = (await hear(reader, 1)).partition(b"\r\n\r\n")
    return int(head[9:12]), body


async def test_a_head_is_read_once(front: Wired, owner: Owner, heads_read: list[bytes]) -> None:
    reader, writer = await front.open()
    for body in (b"1", b"2", b"3", b"22", b"23", b"1"):
        status, said = await answer(reader, writer, asked(owner, "POST", "/hot/a", body))
        assert (status, json.loads(said)) == (200, ["a", "", body.decode()])
    writer.close()
    # Its length is part of a head; only the last one is remembered.
    assert heads_read == [b"/hot/a"] * 3
    assert front.handed == []


async def test_a_revoked_caller_is_not_served_from_memory(service: Service, owner: Owner) -> None:
    said = asked(owner, "GET", "/api/v1/billing/quota")
    async with wired(service.app) as found:
        reader, writer = await found.open()
        for _ in range(2):
            assert (await answer(reader, writer, said))[0] == 200
        assert (await owner.client.post("/api/v1/auth/logout")).is_success
        async with asyncio.timeout(1):
            while (await answer(reader, writer, said))[0] != 401:
                await asyncio.sleep(0.01)
        writer.close()


async def test_what_looks_like_the_same_request_inside_another_is_its_body(
    front: Wired, owner: Owner
) -> None:
    inner = asked(owner, "GET", "/hot/a")
    outer = asked(owner, "POST", "/hot/a", inner)
    parts = [inner, outer[: -len(inner)], inner, inner]
    assert await _heard(front, parts, 3) == [
        ["a", "", ""],
        ["a", "", inner.decode()],
        ["a", "", ""],
    ]


async def test_what_looks_like_the_same_request_inside_a_head_belongs_to_it(
    front: Wired, owner: Owner
) -> None:
    inner = asked(owner, "GET", "/hot/a")
    parts = [inner, b"POST /hot/b HTTP/1.1\r\nX-Part: ", inner, inner]
    assert [said[0] for said in await _heard(front, parts, 3)] == ["a", "b", "a"]


async def test_two_in_one_piece_are_not_remembered_as_one(front: Wired, owner: Owner) -> None:
    first, second = asked(owner, "POST", "/hot/a", b"1"), asked(owner, "POST", "/hot/b", b"2")
    heard = await _heard(front, [first + second] * 2, 4)
    assert heard == [["a", "", "1"], ["b", "", "2"]] * 2


async def test_the_same_again_waits_for_the_first(front: Wired, owner: Owner) -> None:
    parts = [asked(owner, "POST", "/hot/a", body) for body in (b"soon", b"late", b"soon")]
    assert [said[2] for said in await _heard(front, parts, 3)] == ["soon", "late", "soon"]


async def test_the_end_of_a_head_is_no_head(front: Wired, owner: Owner) -> None:
    whole = asked(owner, "POST", "/hot/a", b"1")
    reader, writer = await front.open()
    writer.write(whole[:20])
    await asyncio.sleep(0.01)
    assert (await answer(reader, writer, whole[20:]))[0] == 200
    assert (await answer(reader, writer, whole[20:]))[0] == 400
    writer.close()


async def test_however_a_stream_is_cut_each_request_is_itself(
    front: Wired, owner: Owner, heads_read: list[bytes]
) -> None:
    """Requests that look alike, in pieces of any size: each gets the answer to what it said."""
    chance = random.Random(SEED)
    total = 0
    for _ in range(STREAMS):
        parts: list[bytes] = []
        expected: list[list[str]] = []
        for _ in range(chance.randint(2, 8)):
            path = chance.choice(["/hot/a", "/hot/a", "/cold"])
            body = chance.choice([b"", b"late", b"soon", asked(owner, "POST", "/hot/a")])
            parts.append(asked(owner, "POST", path, body))
            expected.append([path.removeprefix("/hot/"), "", body.decode()])
        total += len(expected)
        heard = await _heard(front, _cut(parts, chance), len(expected))
        assert heard == expected, f"seed {SEED}"
    # Some were read, some were remembered: otherwise this showed nothing.
    assert total / 4 < len(heads_read) < total


def _cut(parts: list[bytes], chance: random.Random) -> list[bytes]:
    """As they are, in one piece, or cut anywhere."""
    kind = chance.randrange(3)
    if kind == 0:
        return parts
    stream = b"".join(parts)
    places = sorted(chance.sample(range(1, len(stream)), 4)) if kind == 1 else []
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


async def _heard(front: Wired, parts: list[bytes], answers: int) -> list[list[str]]:
    reader, writer = await front.open()
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.002)
    found: list[list[str]] = []
    for _ in range(answers):
        found.append(json.loads((await hear(reader, 1)).partition(b"\r\n\r\n")[2]))
    writer.close()
    return found
