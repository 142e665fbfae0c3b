"""Printing: a month's invoices as PDFs, and what the event loop beside it feels of that."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from typing import Any

from benchmarks.bench import Bench, measured, with_facts
from benchmarks.measured import Case, Failed, Sample

DOCUMENTS = 1_000


async def print_invoices(bench: Bench, run: int) -> Sample:
    """One process on one core; latencies are a document's."""
    count = bench.count(DOCUMENTS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.printing", str(count)),
        stdin=PIPE,
        stdout=PIPE,
        limit=2**24,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: dict[str, Any] = {}
    try:
        if (await process.stdout.readline()).strip() != b"ready":
            raise Failed("the printing process did not begin")

        async def work() -> tuple[float, Sequence[float]]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"go\n")
            await process.stdin.drain()
            said.update(json.loads(await process.stdout.readline()))
            return said["elapsed"], said["took"]

        sample = await measured(bench.fast, [process.pid], work, units=count)
    finally:
        process.stdin.close()
        await process.wait()
    return with_facts(sample, loop_p50_ms=said["waited_p50_ms"], loop_p99_ms=said["waited_p99_ms"])


CASES = (
    Case(
        "pdf-two-pages",
        "PDFs of two pages, printed beside an event loop on one core (per document)",
        print_invoices,
        times=1,
    ),
)
