"""The service's own statements alone: the calls it made are noted, undone, and made again.

What Python does before and after each call is left out; the database does all of its work, and
commits it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg

from benchmarks.floors import ours
from benchmarks.floors.work import Run, Task, connect, timed

_UNDO = """
truncate usage_events, usage_keys, usage_hourly, usage_daily, usage_monthly, usage_counters,
    reservations
"""


class _Noting:
    """Notes the calls of one function that go through `fetchrow`."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._original = asyncpg.Connection.fetchrow
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    async def fetchrow(
        self, connection: asyncpg.Connection, query: str, *values: Any, **options: Any
    ) -> Any:
        if self._function in query:
            self.calls.append((query, values))
        return await self._original(connection, query, *values, **options)


async def consume(task: Task, stack: AsyncExitStack) -> Run:
    """Check and consume, recording the event with its rollups."""
    return await _replay(task, stack, ours.consume, "usage_record(")


async def reserve(task: Task, stack: AsyncExitStack) -> Run:
    """Check and hold; what is kept is the reservation."""
    return await _replay(task, stack, ours.reserve, "usage_reserve(")


async def _replay(
    task: Task,
    stack: AsyncExitStack,
    prepare: Callable[[Task, AsyncExitStack], Awaitable[Run]],
    function: str,
) -> Run:
    noting = _Noting(function)

    async def fetchrow(
        connection: asyncpg.Connection, query: str, *values: Any, **more: Any
    ) -> Any:
        return await noting.fetchrow(connection, query, *values, **more)

    asyncpg.Connection.fetchrow = fetchrow  # type: ignore[method-assign,assignment]
    async with AsyncExitStack() as service:
        run = await prepare(replace(task, extra=ours.COLD), service)
        await run()
    connection = await connect(task, stack)
    await connection.execute("set enable_nestloop = off")
    await connection.execute(_UNDO)
    await connection.execute("checkpoint")
    statement = await connection.prepare(noting.calls[0][0])

    async def again() -> list[float]:
        return [await timed(statement.fetchrow(*values)) for _, values in noting.calls]

    return again
