"""The service without HTTP: its own use-cases, asked by many callers at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.usage.holding import Caller
from app.usage.service.ingest import UsageIngest
from app.usage.service.reservations import Reservations
from app.usage.service.submission import Recorded
from app.usage.wire.events import read_batch
from app.usage.wire.reservations import read_reservation
from app.wiring import build_services
from benchmarks.events import event
from benchmarks.floors.work import Run, Step, Task, share

COLD = "cold"
"""As a task's `extra`: do not warm up."""


async def record(task: Task, stack: AsyncExitStack) -> Run:
    """Record what *task* names, as single events or in batches."""
    return await _ready(task, _recording(task, await _start(task, stack), "tokens", enforce=False))


async def consume(task: Task, stack: AsyncExitStack) -> Run:
    """Check and consume: debates, as many as the hard limit lets through."""
    return await _ready(task, _recording(task, await _start(task, stack), "debate", enforce=True))


async def reserve(task: Task, stack: AsyncExitStack) -> Run:
    """Hold one debate each, as many as the hard limit lets through."""
    holds = (await _start(task, stack))[Reservations]
    owner, caller = OrganizationId(task.owner), Caller("bench", None, may_exceed=False)
    asked = read_reservation(b'{"metric": "debates", "quantity": 1}', "bench", None)

    async def step() -> None:
        with suppress(BillingError):
            await holds.reserve(owner, asked, caller)

    # Nothing to warm up with: a hold counts.
    return await _ready(Task(**{**vars(task), "extra": COLD}), [step] * task.count)


async def _start(task: Task, stack: AsyncExitStack) -> Services:
    os.environ["DATABASE_URL"] = task.url
    configure_logging("warning", json=False)
    services = build_services(Settings())
    await services[Lifecycle].start()
    stack.push_async_callback(services[Lifecycle].stop)
    return services


def _recording(task: Task, services: Services, event_type: str, *, enforce: bool) -> list[Step]:
    ingest = services[UsageIngest]
    owner = OrganizationId(task.owner)

    def step_of(first: int, ids: Sequence[str]) -> Step:
        rows = [{**event(key, first + n), "type": event_type} for n, key in enumerate(ids)]
        _, events = read_batch(json.dumps({"events": rows}).encode())

        async def step() -> None:
            answers = await ingest.record(owner, events, enforce=enforce)
            if not enforce:
                assert all(isinstance(answer, Recorded) for answer in answers), answers

        return step

    return [step_of(first, ids) for first, ids in task.steps()]


async def _ready(task: Task, steps: Sequence[Step]) -> Run:
    if task.extra != COLD:
        # What flushers plan and read once belongs to the start; repeats of an event count once.
        for pause in range(8):
            await asyncio.gather(steps[0](), _later(steps[0], pause / 1000))

    async def run() -> list[float]:
        return await share(steps, task.connections)

    return run


async def _later(step: Step, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await step()
