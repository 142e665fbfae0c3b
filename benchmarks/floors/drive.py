"""Starts floor processes together and measures them as a client measures a server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.floors.work import Task
from benchmarks.measured import Failed


class Floor:
    """Processes that are ready to work."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    async def work(self) -> tuple[float, list[float]]:
        """Seconds from the first start to the last end, and those of each step."""
        for process in self._processes:
            _word(process)
        answers = [json.loads(await _line(process)) for process in self._processes]
        elapsed = max(each["ended"] for each in answers) - min(each["started"] for each in answers)
        return elapsed, [step for each in answers for step in each["steps"]]

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                _word(process)
        await asyncio.gather(*(process.wait() for process in self._processes))


async def prepare(tasks: Sequence[Task], environment: Mapping[str, str]) -> Floor:
    """A process for each task, prepared and waiting."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.floors.process"),
            stdin=PIPE,
            stdout=PIPE,
            limit=2**26,
            env={**os.environ, **environment},
        )
        for _ in tasks
    ]
    for process, task in zip(processes, tasks, strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
    for process in processes:
        await _line(process)
    return Floor(processes)


def _word(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise Failed("a floor's process ended early; what it said is above")
    return line
