"""Puts up what the chosen cases need, and no more."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from benchmarks import large
from benchmarks.bench import Bench
from benchmarks.lean_client import compile_client
from benchmarks.postgres import postgres
from benchmarks.redis import redis
from benchmarks.slow_fsync import compile_library
from benchmarks.stage import Stage, stage


@asynccontextmanager
async def setting(
    directory: Path,
    *,
    stages: Collection[str],
    scale: float,
    workers: int,
    with_open: bool,
    large_events: int,
) -> AsyncIterator[Bench]:
    """A bench with the named stages; without a C compiler there is no slow one."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(postgres(directory / "postgres"))
        found = {
            "fast": await stack.enter_async_context(
                stage(directory, server, "bench", workers=workers, with_open=with_open)
            )
        }
        library = compile_library(directory) if "slow" in stages else None
        if library is not None:
            slower = await stack.enter_async_context(postgres(directory / "slow-postgres", library))
            found["slow"] = await stack.enter_async_context(
                stage(directory, slower, "bench", workers=workers, with_open=False)
            )
        many = 0
        if {"few", "many"} & set(stages):
            many = large.affordable(directory, large_events)
            for name, events in (("few", many // 20), ("many", many)):
                here = await stack.enter_async_context(
                    stage(directory, server, name, workers=workers, with_open=False)
                )
                found[name] = await _filled(here, events)
        client = compile_client(directory)
        yield Bench(scale, found, client, await stack.enter_async_context(redis(directory)), many)


async def _filled(here: Stage, events: int) -> Stage:
    """The stage with so many stored events, half of them of one organization."""
    started = time.monotonic()
    await here.clear()
    small = await here.tenants.take()
    others = [uuid4() for _ in range(large.OTHERS)]
    small_events = events * large.SMALL_SUMMARY // large.MANY
    half = events // 2
    await large.fill(
        here.database,
        [
            ([here.open_tenant.id], half),
            ([small.id], small_events),
            (others, events - half - small_events),
        ],
    )
    print(f"stored {events:,} events in {time.monotonic() - started:.0f} s", flush=True)
    return replace(here, small_tenant=small, keeps_rows=True)
