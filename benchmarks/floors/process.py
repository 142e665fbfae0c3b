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
    from benchmarks.floors import ours

    return await (ours.consume if task.kind == "consume" else ours.record)(task, stack)


_KINDS: dict[str, Callable[[Task, AsyncExitStack], Awaitable[Run]]] = {
    "insert": work.insert,
    "copy": copy.copy,
    "commit": work.commit,
    "record": _ours,
    "consume": _ours,
    "redis": redis.consume,
}


async def main() -> None:
    task = Task(**json.loads(sys.stdin.readline()))
    async with AsyncExitStack() as stack:
        run = await _KINDS[task.kind](task, stack)
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
