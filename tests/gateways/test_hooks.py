"""Addresses that customers choose are called in public only, and exactly where they resolved to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from app.gateways.hooks.addresses import is_public
from app.gateways.hooks.chat import ChatWebhook
from app.gateways.hooks.gateway import (
    AddressRefused,
    Answer,
    ChatNote,
    ChatRefused,
    ChatUnavailable,
    HookUnavailable,
)
from app.gateways.hooks.live import LiveHooks
from app.gateways.hooks.memory import MemoryChat, MemoryHooks
from app.infra.db.unit_of_work import GatewayInsideUnit, UnitOfWork
from app.kernel.ids import OrganizationId, new_id
from tests.gateways.test_mail import Tls, tls
from tests.support.listener import listening, respond

__all__ = ["tls"]

PUBLIC = "93.184.215.14"


class Names:
    """A resolver that answers one thing after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Wire:
    """Keeps the requests that would have gone out."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, content=_ok())


async def _ok() -> AsyncIterator[bytes]:
    yield b"ok"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("198.18.0.1", "192.0.2.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001::1"),
        *("2001:db8::1", "3fff::1", "100::1", "localhost", "", "93.184.215.14.1"),
    ],
)
def test_what_lies_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8"]
)
def test_what_anybody_may_call_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "/hooks", "https://", "https:///x", "ftp://example.com", "http://example.com"),
        *("https://me:pw@example.com/", "https://example.com/#part", "https://exam ple.com/"),
        *("https://example.com/\r\nHost: evil", "https://example.com\\@127.0.0.1/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://10.0.0.1"),
        "https://0177.0.0.1/",
        *("https://169.254.169.254/latest/meta-data", "https://example.com/" + "a" * 2000),
        *("https://example.com:99999/", "https://münchen.example/"),
    ],
)
def test_what_could_never_be_called_is_refused_at_once(url: str) -> None:
    with pytest.raises(AddressRefused):
        LiveHooks(resolve=Names([PUBLIC])).check(url)


def test_what_may_be_called_depends_on_where_we_run() -> None:
    LiveHooks().check("https://example.com:8443/a?b=c")
    LiveHooks().check("https://xn--mnchen-3ya.example/")
    LiveHooks(allow_private=True, allow_plain=True).check("http://127.0.0.1:9000/")


async def test_the_connection_goes_to_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers public first and inside the next time is asked once only."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    wire, names = Wire(), Names([PUBLIC], ["127.0.0.1"])
    hooks = LiveHooks(resolve=names, transport=httpx.MockTransport(wire))
    await hooks.post("https://hooks.example.com:8443/a?b=c", b"{}", {"x-test": "1"})
    assert names.asked == [("hooks.example.com", 8443)]
    (request,) = wire.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/a?b=c"
    assert request.headers["host"] == "hooks.example.com:8443"
    assert request.headers["x-test"] == "1"
    assert request.extensions["sni_hostname"] == "hooks.example.com"
    with pytest.raises(HookUnavailable, match="public address"):
        await hooks.post("https://hooks.example.com:8443/a?b=c", b"{}", {})
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], [PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], []],
)
async def test_a_name_that_leads_inside_is_not_called_at_all(answers: list[str]) -> None:
    wire = Wire()
    hooks = LiveHooks(resolve=Names(answers), transport=httpx.MockTransport(wire))
    with pytest.raises(HookUnavailable):
        await hooks.post("https://hooks.example.com/", b"{}", {})
    assert wire.requests == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "localhost"])
async def test_other_ways_to_write_a_loopback_address_lead_nowhere(host: str) -> None:
    async with listening() as server:
        url = f"http://{host}:{server.port}/"
        with pytest.raises(HookUnavailable):
            await LiveHooks(allow_plain=True).post(url, b"{}", {})
        assert server.connections == 0
        # The control: they would, were private addresses allowed.
        allowed = LiveHooks(allow_plain=True, allow_private=True)
        assert (await allowed.post(url, b"{}", {})).is_success
        assert server.connections == 1
        await allowed.close()


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(tls: Tls) -> None:
    names = Names(["127.0.0.1"])
    hooks = LiveHooks(allow_private=True, resolve=names, tls=tls.client)
    async with listening(tls.server) as server:
        answer = await hooks.post(f"https://localhost:{server.port}/x", b"{}", {})
        assert answer == Answer(200, "ok")
        (heard,) = server.heard
        assert heard.headers["host"] == f"localhost:{server.port}"
        with pytest.raises(HookUnavailable):
            await hooks.post(f"https://other.example:{server.port}/x", b"{}", {})
        with pytest.raises(HookUnavailable):
            await LiveHooks(allow_private=True).post(f"https://localhost:{server.port}/", b"", {})
        assert len(server.heard) == 1


async def test_another_address_of_the_name_is_tried_when_one_does_not_answer() -> None:
    async with listening() as server:
        names = Names(["127.0.0.2", "127.0.0.1"])
        hooks = LiveHooks(allow_private=True, allow_plain=True, resolve=names)
        assert (await hooks.post(f"http://h.example:{server.port}/", b"{}", {})).is_success


@pytest.fixture
def hooks() -> LiveHooks:
    return LiveHooks(allow_private=True, allow_plain=True, seconds=1.0)


async def test_a_redirect_is_an_answer_and_not_a_way(hooks: LiveHooks) -> None:
    async with listening() as server, listening() as inside:
        server.answers = [respond(307, location=f"http://127.0.0.1:{inside.port}/")]
        answer = await hooks.post(f"http://127.0.0.1:{server.port}/", b"{}", {})
        assert (answer.status, answer.is_success) == (307, False)
        assert inside.connections == 0


async def test_an_endless_answer_is_not_read_to_its_end(hooks: LiveHooks) -> None:
    async with listening() as server:
        server.answers = [
            b"HTTP/1.1 200 ok\r\ncontent-length: 100000000000\r\n\r\n" + b"a" * 300_000
        ]
        answer = await hooks.post(f"http://127.0.0.1:{server.port}/", b"{}", {})
        assert answer == Answer(200, "a" * 1024)


async def test_what_is_packed_is_not_unpacked_and_what_cannot_be_shown_is_not(
    hooks: LiveHooks,
) -> None:
    async with listening() as server:
        server.answers = [
            respond(200, b"\x1f\x8b" + b"0" * 50, content_encoding="gzip"),
            respond(500, b"<b>\x00\xff\nno</b>"),
        ]
        url = f"http://127.0.0.1:{server.port}/"
        assert (await hooks.post(url, b"{}", {})) == Answer(200, "")
        assert (await hooks.post(url, b"{}", {})) == Answer(500, "<b> \ufffd no</b>")


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 ok\r\ncontent-length: 9\r\n\r\nslow"])
async def test_whoever_is_slow_is_left(hooks: LiveHooks, beginning: bytes) -> None:
    enough = asyncio.Event()

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await enough.wait()
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started_at = asyncio.get_running_loop().time()
    with pytest.raises(HookUnavailable, match=r"too long|Timeout"):
        await hooks.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert asyncio.get_running_loop().time() - started_at < 5
    enough.set()
    server.close()
    await asyncio.sleep(0.05)


async def test_nobody_there_and_nonsense_are_no_answer(hooks: LiveHooks) -> None:
    with pytest.raises(HookUnavailable):
        await hooks.post("http://127.0.0.1:1/", b"{}", {})
    async with listening() as server:
        server.answers = [None, b"SSH-2.0-OpenSSH\r\n\r\n"]
        for _ in range(2):
            with pytest.raises(HookUnavailable):
                await hooks.post(f"http://127.0.0.1:{server.port}/", b"{}", {})


async def test_no_connection_is_used_twice(hooks: LiveHooks) -> None:
    """It was made for one host name; another customer's may share the address."""
    connections = 0

    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(len(b"{}"))
                writer.write(b"HTTP/1.1 200 ok\r\ncontent-length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(stay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(2):
        assert (await hooks.post(f"http://127.0.0.1:{port}/", b"{}", {})).is_success
    assert connections == 2
    server.close()
    await asyncio.sleep(0.05)


NOTE = ChatNote("receipt", "Ada <b> & @everyone: receipt", "Thank you. <!channel>", "receipt:1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://hooks.slack.com/services/T/B/x",
            {"text": "*Ada &lt;b&gt; &amp; @everyone: receipt*\nThank you. &lt;!channel&gt;"},
        ),
        (
            "https://discord.com/api/webhooks/1/x",
            {
                "content": "**Ada <b> & @everyone: receipt**\nThank you. <!channel>",
                "allowed_mentions": {"parse": []},
            },
        ),
        (
            "https://chat.example.com/hook",
            {
                "kind": "receipt",
                "subject": NOTE.subject,
                "text": NOTE.text,
                "reference": "receipt:1",
            },
        ),
        (
            "https://hooks.slack.com.evil.example/",
            {
                "kind": "receipt",
                "subject": NOTE.subject,
                "text": NOTE.text,
                "reference": "receipt:1",
            },
        ),
    ],
)
async def test_a_room_is_told_in_the_shape_of_its_host(
    url: str, expected: dict[str, object]
) -> None:
    memory = MemoryHooks()
    await ChatWebhook(url, memory).post(NOTE)
    (posted,) = memory.posted
    assert json.loads(posted.body) == expected
    assert posted.headers["Content-Type"] == "application/json"


async def test_a_long_notice_fits_into_discord() -> None:
    memory = MemoryHooks()
    note = ChatNote("receipt", "s", "x" * 9000, "r")
    await ChatWebhook("https://discord.com/api/webhooks/1/x", memory).post(note)
    assert len(json.loads(memory.posted[0].body)["content"]) == 2000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(404, "no_service"), ChatRefused),
        (Answer(429, ""), ChatUnavailable),
        (Answer(500, ""), ChatUnavailable),
        (Answer(302, ""), ChatUnavailable),
        (HookUnavailable(reason="away"), ChatUnavailable),
    ],
)
async def test_what_a_room_refuses_for_good_and_what_not(
    answer: Answer | Exception, expected: type[Exception]
) -> None:
    memory = MemoryHooks()
    memory.answers = [answer]
    with pytest.raises(expected) as caught:
        await ChatWebhook("https://hooks.slack.com/services/T/B/s3cret", memory).post(NOTE)
    assert "s3cret" not in str(caught.value)


async def test_no_gateway_calls_inside_a_unit(work: UnitOfWork, tmp_path: Path) -> None:
    live = LiveHooks(allow_private=True, allow_plain=True)
    async with listening() as server:
        url = f"http://127.0.0.1:{server.port}/"
        async with work.begin(OrganizationId(new_id())):
            for hooks in (live, MemoryHooks()):
                with pytest.raises(GatewayInsideUnit):
                    await hooks.post(url, b"{}", {})
            for chat in (ChatWebhook(url, live), MemoryChat()):
                with pytest.raises(GatewayInsideUnit):
                    await chat.post(NOTE)
        assert server.connections == 0
