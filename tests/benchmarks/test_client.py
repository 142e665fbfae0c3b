"""The client counts every answer once, however it is cut, and notices a server that leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from benchmarks import client

Answer = Callable[[int], list[bytes]]


@asynccontextmanager
async def server(answer: Answer, *, most: int = 10_000) -> AsyncIterator[int]:
    """Answers the n-th request in the given pieces; closes instead after *most*."""
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                if served == most:
                    break
                served += 1
                for piece in answer(served):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def whole(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


async def test_answers_are_counted_whatever_pieces_they_come_in() -> None:
    def answer(number: int) -> list[bytes]:
        data = whole(b"body-%d" % number, 201)
        cut = number % len(data)
        return [data[:cut], data[cut:]] if cut else [data]

    async with server(answer) as port:
        requests = [client.request("POST", "/", b"x" * n) for n in range(100)]
        load = await client.send(port, requests, connections=7, keep_bodies=True)
    assert load.statuses == {201: 100}
    assert sorted(number for number, _, _ in load.answers) == list(range(100))
    assert {body for _, _, body in load.answers} == {b"body-%d" % n for n in range(1, 101)}


async def test_an_answer_without_a_body_is_an_answer() -> None:
    async with server(lambda _: [b"HTTP/1.1 204 X\r\n\r\n"]) as port:
        load = await client.send(port, [client.request("GET", "/")] * 3, connections=2)
    assert load.statuses == {204: 3}


async def test_a_following_request_belongs_to_the_same_measurement() -> None:
    sent = []

    def follow(status: int, body: bytes) -> bytes | None:
        sent.append(body)
        return client.request("POST", "/commit") if body == b"first" else None

    def answer(number: int) -> list[bytes]:
        return [whole(b"first" if number % 2 else b"second")]

    async with server(answer) as port:
        load = await client.send(
            port, [client.request("POST", "/")] * 5, connections=1, follow=follow
        )
    assert load.count == 5
    assert sent == [b"first", b"second"] * 5


async def test_a_server_that_leaves_ends_the_measurement() -> None:
    async with server(lambda _: [whole(b"")], most=5) as port:
        with pytest.raises(ConnectionError):
            await client.send(port, [client.request("GET", "/")] * 10, connections=2)


async def test_what_runs_meanwhile_ends_with_its_block() -> None:
    async with server(lambda _: [whole(b"")]) as port:
        requests = [client.request("GET", "/")]
        async with client.meanwhile(port, requests, connections=2) as load:
            while load.count < 10:
                await asyncio.sleep(0.001)
        count = load.count
        await asyncio.sleep(0.01)
    assert load.count == count >= 10
