"""The service without HTTP: `UsageIngest.record`, asked by many callers at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.ids import OrganizationId
from app.usage.service.ingest import UsageIngest
from app.usage.service.submission import Recorded
from app.usage.wire import read_batch
from app.wiring import build_services
from benchmarks.events import event
from benchmarks.floors.work import Run, Task, share


async def record(task: Task, stack: AsyncExitStack) -> Run:
    """Record what *task* names, as single events or in batches."""
    return await _prepare(task, stack, "tokens", enforce=False)


async def consume(task: Task, stack: AsyncExitStack) -> Run:
    """Check and consume: debates, as many as the hard limit lets through."""
    return await _prepare(task, stack, "debate", enforce=True)


async def _prepare(task: Task, stack: AsyncExitStack, event_type: str, *, enforce: bool) -> Run:
    os.environ["DATABASE_URL"] = task.url
    settings = Settings()
    configure_logging("warning", json=False)
    services = build_services(settings)
    await services[Lifecycle].start()
    stack.push_async_callback(services[Lifecycle].stop)
    ingest = services[UsageIngest]
    owner = OrganizationId(task.owner)

    def step(events: list[Any]) -> Any:
        async def call() -> None:
            answers = await ingest.record(owner, events, enforce=enforce)
            if not enforce:
                assert all(isinstance(answer, Recorded) for answer in answers), answers

        return call

    steps = []
    for first, ids in task.steps():
        rows = [{**event(key, first + n), "type": event_type} for n, key in enumerate(ids)]
        _, events = read_batch(json.dumps({"events": rows}).encode())
        steps.append(step(events))

    # What both flushers plan and read once belongs to the start; the repeats count for nothing.
    for pause in range(8):
        await asyncio.gather(steps[0](), *(_later(steps[0], pause / 1000) for _ in range(2)))

    async def run() -> list[float]:
        return await share(steps, task.connections)

    return run


async def _later(step: Callable[[], Awaitable[None]], seconds: float) -> None:
    await asyncio.sleep(seconds)
    await step()
