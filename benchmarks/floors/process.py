"""One floor in one process: reads its task, prepares, says so, works when told, tells the time."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import uvloop

from benchmarks.floors import copy, redis, work
from benchmarks.floors.work import Run, Task


async def _ours(task: Task, stack: AsyncExitStack) -> Run:
    # Of the floors only these need the service, which takes a while to import.
    from benchmarks.floors import ours, replay

    kinds = {
        "record": ours.record,
        "consume": ours.consume,
        "reserve": ours.reserve,
        "consume-alone": replay.consume,
        "reserve-alone": replay.reserve,
    }
    return await kinds[task.kind](task, stack)


_KINDS: dict[str, Callable[[Task, AsyncExitStack], Awaitable[Run]]] = {
    "insert": work.insert,
    "copy": copy.copy,
    "commit": work.commit,
    "redis": redis.consume,
    "redis-client": redis.consume_by_client,
}


async def main() -> None:
    task = Task(**json.loads(sys.stdin.readline()))
    async with AsyncExitStack() as stack:
        run = await _KINDS.get(task.kind, _ours)(task, stack)
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        sys.stdin.readline()
        started = time.monotonic()
        steps = await run()
        ended = time.monotonic()
        print(json.dumps({"started": started, "ended": ended, "steps": steps}), flush=True)
        # Whoever asked looks at this process's CPU time before it is gone.
        sys.stdin.readline()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
