"""Asking for work inside the caller's transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Self
from uuid import UUID

from pgqueuer.ports.driver import Driver, NotifyCallback, TaskManagerPort
from pgqueuer.queries import Queries
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be: dotted name, JSON payload, and when it may run."""

    name: str
    payload: Mapping[str, object]
    dedupe_key: str | None = None
    due_at: datetime | None = None


def encode_payload(payload: Mapping[str, object]) -> bytes:
    return json.dumps(payload, default=_plain, separators=(",", ":")).encode()


def _plain(value: object) -> str:
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a job payload cannot carry {type(value).__name__}")


def enqueue_each(job: str, source: str, *, payload: str, dedupe_key: str) -> str:
    """SQL that asks for *job* once for each row of *source*, as `JobQueue` would.

    *payload* (json) and *dedupe_key* are SQL expressions over the row. For the one statement that
    cannot afford a second; everything else goes through a unit of work.
    """
    return f"""
        insert into pgqueuer (priority, entrypoint, payload, dedupe_key, status)
        select 0, '{job}', convert_to(({payload})::text, 'UTF8'), {dedupe_key}, 'queued'
        from {source}
        on conflict (dedupe_key)
            where status in ('queued', 'picked') and dedupe_key is not null
            do nothing
    """


class JobQueue:
    """Writes jobs on the session's own connection, so they commit or vanish with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def enqueue(self, session: AsyncSession, jobs: Sequence[NewJob]) -> None:
        if not jobs:
            return
        now = self._clock.now()
        await Queries(_SessionDriver(session)).enqueue(
            [job.name for job in jobs],
            [encode_payload(job.payload) for job in jobs],
            [0] * len(jobs),
            [max(job.due_at - now, timedelta(0)) if job.due_at else None for job in jobs],
            [job.dedupe_key for job in jobs],
            [{"due_at": job.due_at.isoformat()} if job.due_at else None for job in jobs],
            on_conflict="skip",
        )


class _SessionDriver(Driver):
    """PgQueuer on a SQLAlchemy session.

    PgQueuer's own asyncpg driver on the raw connection is not transactional when it is the first
    statement: SQLAlchemy's adapter begins lazily, so a job of a rolled-back unit would run.
    `exec_driver_sql` begins first (proven in tests/infra/test_jobs.py).
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._shutdown = asyncio.Event()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        connection = await self._session.connection()
        result = await connection.exec_driver_sql(query, tuple(args))
        return [dict(row) for row in result.mappings()]

    async def execute(self, query: str, *args: object) -> str:
        connection = await self._session.connection()
        await connection.exec_driver_sql(query, tuple(args))
        return ""

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        raise NotImplementedError("a session enqueues; it does not listen")

    async def notify(self, channel: str, payload: str) -> None:
        await self.execute("select pg_notify($1, $2)", channel, payload)

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManagerPort:
        raise NotImplementedError("a session has no background tasks")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
