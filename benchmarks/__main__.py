"""`make bench`: runs every measurement some times, interleaved, and writes docs/performance.md."""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import uvloop

from benchmarks import machine, report
from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.measured import Case, Failed, Sample, medians
from benchmarks.postgres import postgres
from benchmarks.redis import redis
from benchmarks.slow_fsync import compile_library
from benchmarks.stage import stage

_PATIENCE_SECONDS = 14 * 60
"""No run begins that would end after this; what is too little is said in the report."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each case is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual requests")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="names or patterns of cases")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--no-write", action="store_true", help="print only")
    return parser.parse_args()


def _chosen(patterns: Sequence[str] | None) -> list[Case]:
    if patterns is None:
        return list(CASES)
    found = [case for case in CASES if any(fnmatch.fnmatch(case.name, p) for p in patterns)]
    if not found:
        raise SystemExit(f"no case is called {' or '.join(patterns)}; --list names them")
    return found


async def _measure(bench: Bench, cases: Sequence[Case], runs: int) -> dict[str, list[Sample]]:
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    began = time.monotonic()
    for run in range(runs):
        if run and (time.monotonic() - began) * (run + 1) / run > _PATIENCE_SECONDS:
            print(f"stopped after {run} runs: another would take too long", flush=True)
            break
        for here in bench.stages.values():
            await here.clear()
        for case in cases:
            if case.stage not in bench.stages:
                continue
            started = time.monotonic()
            try:
                sample = await case.measure(bench, run)
            except (Failed, OSError) as failure:
                print(f"run {run + 1}: {case.name:<18} FAILED: {failure!r}", flush=True)
                bench.failures.append(f"{case.title}: {failure}")
                continue
            if sample is None:
                continue
            found[case.name].append(sample)
            print(
                f"run {run + 1}: {case.name:<18} {sample.rate:>9,.0f}/s  p50 {sample.p50_ms:.2f}"
                f"  p99 {sample.p99_ms:.1f} ms  cpu {sample.app_us:.1f} + {sample.database_us:.1f}"
                f" + client {sample.client_us:.1f} us  others {sample.others_cores:.1f} cores"
                f"  ({time.monotonic() - started:.1f} s)",
                flush=True,
            )
    return dict(found)


async def main() -> None:
    arguments = _arguments()
    cases = _chosen(arguments.only)
    if arguments.list:
        print("\n".join(f"{case.name:<18} {case.title}" for case in cases))
        return
    directory = Path(tempfile.mkdtemp(prefix="billing-bench-"))
    directory.chmod(0o755)
    try:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(postgres(directory / "postgres"))
            names = {case.name for case in cases}
            fast = await stack.enter_async_context(
                stage(
                    directory,
                    server,
                    "bench",
                    workers=arguments.workers,
                    with_open="single-64-open" in names,
                )
            )
            stages = {"fast": fast}
            if any(case.stage == "slow" for case in cases):
                library = compile_library(directory)
                if library is not None:
                    slower = postgres(directory / "slow-postgres", library)
                    stages["slow"] = await stack.enter_async_context(
                        stage(
                            directory,
                            await stack.enter_async_context(slower),
                            "bench",
                            workers=arguments.workers,
                            with_open=False,
                        )
                    )
            bench = Bench(
                arguments.scale, stages, await stack.enter_async_context(redis(directory))
            )
            samples = await _measure(bench, cases, arguments.runs)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    found = {name: medians(each) for name, each in samples.items()}
    runs = max((len(each) for each in samples.values()), default=0)
    busy = [sample.others_cores for each in samples.values() for sample in each]
    scale = "" if arguments.scale == 1 else f" at scale {arguments.scale:g}"
    about = (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: medians of {runs} interleaved runs{scale}. "
        f"{machine.facts(fast.database.version)}, shared by client, service and database; fsync and "
        f"synchronous_commit on. Others used {median(busy):.1f} of these cores meanwhile (at worst "
        f"{max(busy):.1f}). {bench.acknowledged:,} events acknowledged, and each found by its id "
        f"among {bench.stored:,} rows that add up to every rollup."
    )
    failed = [f"**Failed** runs: {'; '.join(bench.failures)}."] if bench.failures else []
    text = "\n\n".join([about, *failed, report.targets(found), report.figures(cases, found)])
    print(text)
    if not arguments.no_write and arguments.only is None:
        report.write(text)
    if bench.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
