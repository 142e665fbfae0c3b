"""Reads that are asked for at once: one statement, each its own answer, nobody harmed by another."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg
import pytest
from sqlalchemy import URL

from app.infra.db.together import Together
from app.infra.http.problems import DatabaseUnavailable
from app.kernel.errors import Unavailable

DOUBLE = "select n, 2 * n as doubled, pg_backend_pid() as pid from unnest($1::int[]) as n"


class Doubling:
    """Doubles numbers in the database, and notes what it was asked."""

    def __init__(self, url: URL) -> None:
        self.calls: list[list[int]] = []
        self.pids: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.together = Together[int, int](url, "test-together", self.read)

    async def read(self, connection: asyncpg.Connection, keys: Sequence[int]) -> Mapping[int, int]:
        self.calls.append(list(keys))
        await self.gate.wait()
        rows = await connection.fetch(DOUBLE, keys)
        self.pids.update(row["pid"] for row in rows)
        return {row["n"]: row["doubled"] for row in rows}


@pytest.fixture
async def doubling(database_url: URL) -> AsyncIterator[Doubling]:
    found = Doubling(database_url)
    yield found
    await found.together.close()


async def test_what_is_asked_while_a_read_runs_shares_the_next_one(doubling: Doubling) -> None:
    doubling.gate.clear()
    first = asyncio.create_task(doubling.together.of(1))
    while not doubling.calls:
        await asyncio.sleep(0)
    rest = [asyncio.create_task(doubling.together.of(n)) for n in (1, 2, 2, 3)]
    await asyncio.sleep(0)
    doubling.gate.set()
    assert await first == 2
    assert await asyncio.gather(*rest) == [2, 4, 4, 6]
    # The second question for 1 was not answered by the read that had begun before it.
    assert doubling.calls == [[1], [1, 2, 3]]


async def test_who_goes_away_takes_nobody_along(doubling: Doubling) -> None:
    doubling.gate.clear()
    one, other = (asyncio.create_task(doubling.together.of(7)) for _ in "ab")
    while not doubling.calls:
        await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)
    doubling.gate.set()
    assert await other == 14
    assert one.cancelled()


async def test_a_lost_connection_is_replaced_within_the_read(doubling: Doubling) -> None:
    assert await doubling.together.of(1) == 2
    (pid,) = doubling.pids
    other = Doubling(doubling.together._url)
    other.together._read = _terminating(pid)
    await other.together.of(0)
    await other.together.close()
    assert await doubling.together.of(2) == 4
    assert len(doubling.pids) == 2


def _terminating(pid: int):
    async def read(connection: asyncpg.Connection, keys: Sequence[int]) -> Mapping[int, int]:
        await connection.fetchval("select pg_terminate_backend($1)", pid)
        return dict.fromkeys(keys, 0)

    return read


async def test_without_a_database_everybody_is_told() -> None:
    doubling = Doubling(URL.create("postgresql+asyncpg", "nobody", host="127.0.0.1", port=1))
    asked = [asyncio.create_task(doubling.together.of(n)) for n in (1, 2)]
    for refusal in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(refusal, DatabaseUnavailable)
    await doubling.together.close()


async def test_a_fault_of_a_read_reaches_those_who_asked_and_no_one_later(
    doubling: Doubling,
) -> None:
    with pytest.raises(asyncpg.DataError):
        await doubling.together.of(2**40)
    assert await doubling.together.of(4) == 8


async def test_it_answers_who_waits_before_it_closes(doubling: Doubling) -> None:
    doubling.gate.clear()
    waiting = asyncio.create_task(doubling.together.of(5))
    while not doubling.calls:
        await asyncio.sleep(0)
    closing = asyncio.create_task(doubling.together.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await doubling.together.of(6)
    doubling.gate.set()
    await closing
    assert await waiting == 10
