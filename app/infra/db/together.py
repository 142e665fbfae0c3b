"""Reads that are asked for at once are one statement.

The most frequent questions are small, and a session with a transaction around each costs ten
times the read. What is asked while a read runs waits for the next one, so no answer is older than
its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

import asyncpg
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from app.infra.http.problems import DATABASE_RETRY_SECONDS, DatabaseUnavailable, is_database_loss
from app.kernel.errors import Unavailable

K = TypeVar("K")
V = TypeVar("V")

MAX_KEYS = 1_000
MAX_WAITING = 20_000
_TIMEOUT_SECONDS = 15.0

Read = Callable[[asyncpg.Connection, Sequence[K]], Awaitable[Mapping[K, V]]]


class Together(Generic[K, V]):
    """Answers keys by *read*, which is given many and must answer all of them.

    It has one connection, opened when it is first needed. At most `MAX_WAITING` keys wait.
    """

    def __init__(self, url: URL, name: str, read: Read[K, V]) -> None:
        self._url = url
        self._name = name
        self._read = read
        self._waiting: dict[K, list[asyncio.Future[V]]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._is_closed = False

    async def of(self, key: K) -> V:
        """The answer for *key*, read after this was called. Raises `DatabaseUnavailable`."""
        if self._is_closed or len(self._waiting) >= MAX_WAITING:
            raise Unavailable
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._reading is None:
            # In a context of its own: it reads for many, not for the request that came first.
            self._reading = asyncio.create_task(self._read_all(), context=Context())
        return await future

    async def close(self) -> None:
        """Answer those who wait, then close the connection."""
        self._is_closed = True
        if self._reading is not None:
            await self._reading
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close(timeout=2)
            self._connection = None

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                asked = dict(islice(self._waiting.items(), MAX_KEYS))
                for key in asked:
                    del self._waiting[key]
                await self._answer(asked)
        finally:
            self._reading = None

    async def _answer(self, asked: Mapping[K, list[asyncio.Future[V]]]) -> None:
        try:
            found = await self._patiently(list(asked))
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody gets an answer
            for future in (each for futures in asked.values() for each in futures):
                if not future.done():
                    future.set_exception(error)
            return
        for key, futures in asked.items():
            for future in futures:
                # Someone who went away has cancelled theirs.
                if not future.done():
                    future.set_result(found[key])

    async def _patiently(self, keys: Sequence[K]) -> Mapping[K, V]:
        for again in (True, False):
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                return await self._read(self._connection, keys)
            except Exception as error:
                if not (isinstance(error, TimeoutError | OSError) or is_database_loss(error)):
                    raise
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                if not again:
                    break
        raise DatabaseUnavailable(retry_after_seconds=DATABASE_RETRY_SECONDS)

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            **asyncpg_arguments(self._url),
            timeout=5,
            command_timeout=_TIMEOUT_SECONDS,
            server_settings={
                "application_name": self._name,
                "timezone": "UTC",
                "statement_timeout": str(int(_TIMEOUT_SECONDS * 1000)),
                "jit": "off",
            },
        )
