"""What the floors do once they are told to; each returns seconds per step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import make_url

from app.infra.db.engine import asyncpg_arguments
from benchmarks.events import keys
from benchmarks.floors import unnest

Run = Callable[[], Awaitable[list[float]]]
Step = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Task:
    """What one process is to do: *count* events in steps of *size*."""

    kind: str
    url: str
    name: str
    run: int
    organization: str
    count: int
    size: int = 1
    connections: int = 1
    extra: str = ""

    @property
    def owner(self) -> UUID:
        return UUID(self.organization)

    @property
    def ids(self) -> list[str]:
        return keys(self.name, self.run, self.count)

    def steps(self) -> list[tuple[int, list[str]]]:
        ids = self.ids
        return [(first, ids[first : first + self.size]) for first in range(0, len(ids), self.size)]


async def connect(task: Task, stack: AsyncExitStack) -> asyncpg.Connection:
    """A connection that lasts as long as *stack*."""
    connection = await asyncpg.connect(
        **asyncpg_arguments(make_url(task.url)),
        server_settings={"jit": "off", "plan_cache_mode": "force_generic_plan"},
    )
    stack.push_async_callback(connection.close)
    return connection


async def insert(task: Task, stack: AsyncExitStack) -> Run:
    """The plain statement, one after the other on one connection."""
    connection = await connect(task, stack)
    now = datetime.now(UTC)
    prepared = [unnest.arguments(task.owner, ids, first, now) for first, ids in task.steps()]
    statement = await connection.prepare(unnest.RECORD)

    async def run() -> list[float]:
        return [await timed(statement.fetch(*each)) for each in prepared]

    return run


async def commit(task: Task, stack: AsyncExitStack) -> Run:
    """One small row, committed to disk."""
    connection = await connect(task, stack)
    statement = await connection.prepare("insert into naive_commits (body) values ($1)")

    async def run() -> list[float]:
        return [await timed(statement.fetch(key)) for key in task.ids]

    return run


async def timed(step: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await step
    return time.perf_counter() - started


async def share(steps: Sequence[Step], callers: int) -> list[float]:
    """Take the steps by that many callers at once, each of whom waits for its answer."""
    took: list[float] = []
    remaining = iter(steps)

    async def caller() -> None:
        for step in remaining:
            seconds = await timed(step())
            took.append(seconds)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return took
