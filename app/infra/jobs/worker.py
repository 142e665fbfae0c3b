"""Runs the jobs: claims, retries with backoff, keeps failures for an operator, survives restarts.

PgQueuer leaves its loop when the database restarts, so `Worker.run` rebuilds everything until it
is told to stop. A job is delivered at least once: a worker that dies loses its claim when its
heartbeat stops, and another takes the job.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.core.executors import DatabaseRetryEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.types import JOB_STATUS
from pgqueuer.models import Job, Schedule
from pgqueuer.queries import Queries
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from app.infra.jobs.queue import encode_payload
from app.infra.telemetry.metrics import JOB_RUNS, JOB_SECONDS
from app.kernel.clock import Clock
from app.kernel.errors import BillingError

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]
Handler = Callable[[Payload], Awaitable[None]]

MAX_ATTEMPTS = 12
MAX_RUNNING = 100
"""Jobs that a worker runs at once. Left alone it takes all that wait: after an outage thousands
would ask for the process's few connections, and requests wait behind them for longer than they may.
"""
_FIRST_DELAY = timedelta(seconds=1)
_LONGEST_DELAY = timedelta(minutes=10)
_HEARTBEAT = timedelta(seconds=30)
_REBUILD_DELAY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job enqueued each time *cron* comes round (five fields, UTC)."""

    job: str
    cron: str


class Worker:
    """Claims and runs jobs until told to stop. Several may run side by side."""

    def __init__(
        self,
        url: URL,
        handlers: Mapping[str, Handler],
        schedule: Sequence[Scheduled],
        clock: Clock,
    ) -> None:
        self._url = url
        self._handlers = handlers
        self._schedule = schedule
        self._clock = clock
        self._running: PgQueuer | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`; a lost database is waited for, with a line in the log."""
        while not self._stopping.is_set():
            try:
                await self._run_once()
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever it meets
                log.warning("jobs.worker_lost", error=type(error).__name__, detail=str(error)[:200])
            if not self._stopping.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _REBUILD_DELAY_SECONDS)

    def stop(self) -> None:
        """Take no new jobs and let `run` return once the running ones are done."""
        self._stopping.set()
        if self._running is not None:
            self._running.shutdown.set()

    async def drain(self) -> None:
        """Run every job that is due, one after the other, then return; for tests and operators.

        A failed job is kept, the rest still run, and then the first failure is raised. Retries
        and appointments are not waited for.
        """
        failures: list[Exception] = []
        async with asyncpg.create_pool(
            **asyncpg_arguments(self._url), min_size=1, max_size=2
        ) as pool:
            queuer = self._build(pool, retrying=False)
            async for job in queuer.qm.fetch_jobs(10, None, _HEARTBEAT):
                status: JOB_STATUS = "successful"
                try:
                    await _observed(job.entrypoint, self._handlers[job.entrypoint])(job)
                except Exception as error:  # noqa: BLE001 - raised below, after the rest
                    status = "failed"
                    failures.append(error)
                await queuer.qm.queries.log_jobs([(job, status, None)])
        if failures:
            raise failures[0]

    async def _run_once(self) -> None:
        async with asyncpg.create_pool(
            **asyncpg_arguments(self._url), min_size=1, max_size=4
        ) as pool:
            queuer = self._build(pool, retrying=True)
            self._running = queuer
            if self._stopping.is_set():
                return
            try:
                await queuer.run(
                    dequeue_timeout=timedelta(seconds=5),
                    max_concurrent_tasks=MAX_RUNNING,
                    heartbeat_timeout=_HEARTBEAT,
                    shutdown_on_listener_failure=True,
                )
            finally:
                self._running = None

    def _build(self, pool: asyncpg.Pool, *, retrying: bool) -> PgQueuer:
        queuer = PgQueuer.from_asyncpg_pool(pool)
        for name, handler in self._handlers.items():
            queuer.entrypoint(
                name,
                on_failure="hold",
                accepts_context=False,
                executor_factory=_retrying if retrying else None,
            )(_observed(name, handler))
        for scheduled in self._schedule if retrying else ():
            queuer.schedule(f"schedule.{scheduled.job}", scheduled.cron)(
                self._enqueue_for(pool, scheduled)
            )
        return queuer

    def _enqueue_for(
        self, pool: asyncpg.Pool, scheduled: Scheduled
    ) -> Callable[[Schedule], Awaitable[None]]:
        async def enqueue(schedule: Schedule) -> None:
            # Two workers may both wake for one tick; the key of the minute lets one job through.
            minute = self._clock.now().replace(second=0, microsecond=0)
            await Queries.from_asyncpg_pool(pool).enqueue(
                scheduled.job,
                encode_payload({}),
                dedupe_key=f"{scheduled.job}@{minute.isoformat()}",
                on_conflict="skip",
            )

        return enqueue


def _retrying(parameters: EntrypointExecutorParameters) -> DatabaseRetryEntrypointExecutor:
    return DatabaseRetryEntrypointExecutor(
        parameters=parameters,
        max_attempts=MAX_ATTEMPTS,
        initial_delay=_FIRST_DELAY,
        max_delay=_LONGEST_DELAY,
    )


def _observed(name: str, handler: Handler) -> Callable[[Job], Awaitable[None]]:
    async def run(job: Job) -> None:
        payload = json.loads(job.payload or b"{}")
        with structlog.contextvars.bound_contextvars(job=name, job_id=str(job.id)):
            try:
                with JOB_SECONDS.labels(name).time():
                    await handler(payload)
            except BillingError as refusal:
                # A refusal of our own is expected, like a notice that another worker sends.
                JOB_RUNS.labels(name, "refused").inc()
                log.info("jobs.refused", attempt=job.attempts, code=refusal.code)
                raise
            except Exception:
                JOB_RUNS.labels(name, "failed").inc()
                log.warning("jobs.failed", attempt=job.attempts, exc_info=True)
                raise
            JOB_RUNS.labels(name, "done").inc()

    return run
