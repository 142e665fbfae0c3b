"""What a commit changed is heard: at once here, soon elsewhere, and never if it rolled back."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork


@pytest.fixture
async def elsewhere(database_url: URL) -> AsyncIterator[Signals]:
    """Another process that listens."""
    signals = Signals(database_url)
    await signals.start()
    assert signals.is_hearing
    yield signals
    await signals.stop()


async def heard_within_a_second(heard: list[str], signal: str) -> None:
    async with asyncio.timeout(1):
        while signal not in heard:
            await asyncio.sleep(0.001)


async def test_the_sender_hears_its_signal_before_it_goes_on(
    work: UnitOfWork, database_url: URL
) -> None:
    """Without a listening connection, so that nothing but the commit itself can tell it."""
    signals = Signals(database_url)
    heard: list[str] = []
    signals.subscribe(heard.append, heard.clear)
    async with work.begin_platform() as session:
        await signals.send(session, "user:1")
        await signals.send(session, "user:2")
        assert heard == []
    assert heard == ["user:1", "user:2"]


async def test_a_signal_reaches_who_listens(
    work: UnitOfWork, database_url: URL, elsewhere: Signals
) -> None:
    heard: list[str] = []
    elsewhere.subscribe(heard.append, heard.clear)
    async with work.begin_platform() as session:
        await Signals(database_url).send(session, "user:3")
    await heard_within_a_second(heard, "user:3")


async def test_what_rolled_back_is_heard_nowhere(
    work: UnitOfWork, database_url: URL, elsewhere: Signals
) -> None:
    here, there = Signals(database_url), elsewhere
    heard: list[str] = []
    for each in (here, there):
        each.subscribe(heard.append, heard.clear)
    with pytest.raises(LookupError):
        async with work.begin_platform() as session:
            await here.send(session, "user:rolled-back")
            raise LookupError
    async with work.begin_platform() as session:
        await Signals(database_url).send(session, "user:after")
    await heard_within_a_second(heard, "user:after")
    assert heard == ["user:after"]


async def test_who_lost_the_connection_forgets_and_listens_again(
    work: UnitOfWork, database_url: URL, elsewhere: Signals
) -> None:
    forgotten: list[bool] = []
    heard: list[str] = []
    elsewhere.subscribe(heard.append, lambda: forgotten.append(elsewhere.is_hearing))
    assert elsewhere._connection is not None
    elsewhere._connection.terminate()
    async with asyncio.timeout(5):
        while len(forgotten) < 2 or not elsewhere.is_hearing:
            await asyncio.sleep(0.005)
    assert forgotten == [False, False], "before it hears again, nothing is left to be outdated"
    async with work.begin_platform() as session:
        await Signals(database_url).send(session, "user:4")
    await heard_within_a_second(heard, "user:4")
