"""The compiled client counts as the one in Python does, and notices the same things."""

from pathlib import Path

import pytest

from benchmarks import client, lean_client
from tests.benchmarks.test_client import server, whole


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = lean_client.compile_client(tmp_path_factory.mktemp("client"))
    if found is None:
        pytest.skip("no C compiler")
    return found


async def send(program: Path, port: int, requests: list[bytes], connections: int) -> client.Load:
    async with lean_client.ready(program, port, requests, connections=connections) as go:
        return await go()


async def test_every_answer_is_counted_whatever_pieces_it_comes_in(program: Path) -> None:
    seen = []

    def answer(number: int) -> list[bytes]:
        seen.append(number)
        data = whole(b"x" * (number * 700), 200 if number % 4 else 503)
        cut = number % 90
        return [data[:cut], data[cut:]] if cut else [data]

    async with server(answer) as port:
        requests = [client.request("POST", "/", b"x" * n * 50) for n in range(100)]
        load = await send(program, port, requests, 7)
    assert seen == list(range(1, 101))
    assert load.statuses == {200: 75, 503: 25}
    assert load.count == 100
    assert [number for number, _, _ in load.answers] == list(range(100))
    assert 0 < min(load.latencies) <= max(load.latencies) <= load.elapsed


async def test_a_request_larger_than_a_socket_takes_goes_out_whole(program: Path) -> None:
    async with server(lambda _: [whole(b"")]) as port:
        load = await send(program, port, [client.request("POST", "/", b"x" * 9_000_000)] * 2, 2)
    assert load.statuses == {200: 2}


async def test_an_answer_without_a_body_is_an_answer(program: Path) -> None:
    async with server(lambda _: [b"HTTP/1.1 204 X\r\n\r\n"]) as port:
        load = await send(program, port, [client.request("GET", "/")] * 3, 2)
    assert load.statuses == {204: 3}


async def test_a_server_that_leaves_ends_the_measurement(program: Path) -> None:
    async with server(lambda _: [whole(b"")], most=5) as port:
        with pytest.raises(ConnectionError, match="closed a connection under load"):
            await send(program, port, [client.request("GET", "/")] * 10, 2)


async def test_a_port_where_nobody_listens_is_refused(program: Path) -> None:
    async with server(lambda _: [whole(b"")]) as port:
        pass
    with pytest.raises(ConnectionError, match="no connection"):
        await send(program, port, [client.request("GET", "/")], 1)
