"""Group commit: what arrives while the last commit runs is written by the next statement.

There is no timer: a lone request is written at once, and under load groups grow by themselves.
Rivals measured: a statement per request costs three times the CPU; a linger timer of 2 ms makes
everything slower.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import asyncpg
import structlog

from app.infra.http.problems import DATABASE_RETRY_SECONDS, DatabaseUnavailable, is_database_loss
from app.kernel.errors import BillingError, Unavailable
from app.usage.errors import EventNotStorable, UsageOverloaded

log = structlog.get_logger(__name__)

S = TypeVar("S")
R = TypeVar("R")

MAX_ROWS = 1_000
MAX_WAITING = 20_000
_FLUSHERS = 2
_SMALL = 10
_ATTEMPTS = 4

_UNSTORABLE = (asyncpg.PostgresError, asyncpg.DataError, ValueError, ArithmeticError)
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Flush = Callable[[asyncpg.Connection, Sequence[S]], Awaitable[Sequence[R | BillingError]]]


class _Ticket(Generic[S, R]):
    """A request that waits: its items, and their answers so far."""

    __slots__ = ("_answers", "future", "items")

    def __init__(
        self, items: Sequence[S], future: asyncio.Future[Sequence[R | BillingError]]
    ) -> None:
        self.items = items
        self.future = future
        self._answers: dict[int, R | BillingError] = {}

    def finish(self, answers: Sequence[R | BillingError]) -> None:
        if not self.future.done():
            self.future.set_result(answers)

    def answer(self, index: int, value: R | BillingError) -> None:
        """One of the answers, where they come apart."""
        self._answers[index] = value
        if len(self._answers) == len(self.items):
            self.finish([self._answers[place] for place in range(len(self.items))])

    def fail(self, error: BillingError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class GroupCommit(Generic[S, R]):
    """Gathers items of concurrent requests and answers each request after its commit.

    Flushing the same item twice must be harmless: after a lost connection nobody knows whether
    the commit happened, so it is sent again. At most `MAX_WAITING` items wait; more are refused
    with `UsageOverloaded`. A caller who goes away does not take its items back.
    """

    def __init__(self, connect: Connect, flush: Flush[S, R]) -> None:
        self._connect = connect
        self._flush = flush
        # Batches have a lane of their own, so that a single event never waits behind many.
        self._small: deque[_Ticket[S, R]] = deque()
        self._large: deque[_Ticket[S, R]] = deque()
        self._waiting = 0
        self._passed_over = False
        self._small_is_written = False
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        self._stopping = False
        self._tasks = [
            asyncio.create_task(self._work(), name=f"usage-flusher-{number}")
            for number in range(_FLUSHERS)
        ]

    async def stop(self) -> None:
        """Write and answer what was accepted, then close the connections."""
        self._stopping = True
        while self._idle:
            self._wake()
        await asyncio.gather(*self._tasks)
        self._tasks = []

    async def submit(self, items: Sequence[S]) -> Sequence[R | BillingError]:
        """One answer an item, in order, each after its commit.

        Raises `UsageOverloaded` when too many wait, `DatabaseUnavailable` when none can be written.
        """
        if self._stopping or not self._tasks:
            raise Unavailable
        if self._waiting + len(items) > MAX_WAITING:
            raise UsageOverloaded(retry_after_seconds=1)
        ticket = _Ticket(items, asyncio.get_running_loop().create_future())
        self._waiting += len(items)
        if len(items) > _SMALL:
            self._large.append(ticket)
            self._wake()
        else:
            self._small.append(ticket)
            if not self._small_is_written:
                self._wake()
        return await ticket.future

    def _wake(self) -> None:
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _take(self) -> list[_Ticket[S, R]]:
        """The next group: single events first, but not twice in a row past a waiting batch.

        Single events are written by one flusher at a time, and wait for one another meanwhile:
        half as many groups of twice the size cost less, here and in the database.
        """
        group: list[_Ticket[S, R]] = []
        room = MAX_ROWS
        lanes = [self._large]
        if not self._small_is_written:
            lanes.insert(1 if self._passed_over else 0, self._small)
        for lane in lanes:
            while lane and len(lane[0].items) <= room:
                ticket = lane.popleft()
                room -= len(ticket.items)
                group.append(ticket)
        self._passed_over = bool(self._large) and not self._passed_over
        self._waiting -= sum([len(ticket.items) for ticket in group])
        return group

    async def _work(self) -> None:
        connection: asyncpg.Connection | None = None
        try:
            while True:
                group = self._take()
                if not group:
                    if self._stopping and not self._small:
                        return
                    await self._wait()
                    continue
                has_small = not self._small_is_written and any(
                    len(ticket.items) <= _SMALL for ticket in group
                )
                self._small_is_written = self._small_is_written or has_small
                try:
                    connection = await self._write(connection, group)
                finally:
                    if has_small:
                        self._small_is_written = False
        finally:
            # Whoever waits for this one's group to end must not wait for ever.
            self._wake()
            if connection is not None:
                with suppress(Exception):
                    await connection.close(timeout=2)

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        await waiter
        # Requests that the network brought at the same moment come along.
        await asyncio.sleep(0)

    async def _write(
        self, connection: asyncpg.Connection | None, group: Sequence[_Ticket[S, R]]
    ) -> asyncpg.Connection | None:
        """Write a group; gives back the connection to go on with, if it still works."""
        for again in (True, False):
            try:
                if connection is None or connection.is_closed():
                    connection = await self._connect()
                await self._write_group(connection, group)
                return connection
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller gets an answer
                lost = isinstance(error, TimeoutError | OSError) or is_database_loss(error)
                if connection is not None:
                    connection.terminate()
                    connection = None
                if lost and again:
                    continue
                log.warning("usage.flush_failed", error=repr(error)[:500], lost=lost)
                for ticket in group:
                    ticket.fail(DatabaseUnavailable(retry_after_seconds=DATABASE_RETRY_SECONDS))
                break
        return connection

    async def _write_group(
        self, connection: asyncpg.Connection, group: Sequence[_Ticket[S, R]]
    ) -> None:
        items = [item for ticket in group for item in ticket.items]
        try:
            answers = await self._flush_patiently(connection, items)
        except asyncpg.InsufficientResourcesError:
            raise ConnectionError from None
        except _UNSTORABLE as error:
            if is_database_loss(error):
                raise
            places = [(ticket, index) for ticket in group for index in range(len(ticket.items))]
            await self._write_apart(connection, places, error)
            return
        start = 0
        for ticket in group:
            end = start + len(ticket.items)
            ticket.finish(answers[start:end])
            start = end

    async def _write_apart(
        self,
        connection: asyncpg.Connection,
        places: Sequence[tuple[_Ticket[S, R], int]],
        error: Exception,
    ) -> None:
        """One of them cannot be stored; halving finds it and lets the others through."""
        if len(places) == 1:
            log.warning("usage.event_not_storable", error=repr(error)[:500])
            ticket, index = places[0]
            ticket.answer(index, EventNotStorable())
            return
        middle = len(places) // 2
        for half in (places[:middle], places[middle:]):
            items = [ticket.items[index] for ticket, index in half]
            try:
                answers = await self._flush_patiently(connection, items)
            except asyncpg.InsufficientResourcesError:
                raise ConnectionError from None
            except _UNSTORABLE as fault:
                if is_database_loss(fault):
                    raise
                await self._write_apart(connection, half, fault)
                continue
            for (ticket, index), answer in zip(half, answers, strict=True):
                ticket.answer(index, answer)

    async def _flush_patiently(
        self, connection: asyncpg.Connection, items: Sequence[S]
    ) -> Sequence[R | BillingError]:
        for _ in range(_ATTEMPTS - 1):
            with suppress(*_AGAIN):
                return await self._flush(connection, items)
        return await self._flush(connection, items)
