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
from pathlib import Path

import uvloop

from benchmarks import large, report
from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.measured import Case, Failed, Sample, medians
from benchmarks.setting import setting

_PATIENCE_SECONDS = 13 * 60
"""No run begins that would end after this; what is too little is said in the report."""

_LARGE = frozenset({"few", "many"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how often each case is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual requests")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="names or patterns of cases")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument(
        "--large", action="store_true", help="also what needs millions of stored events"
    )
    parser.add_argument("--large-events", type=int, default=large.MANY, help="how many of them")
    parser.add_argument("--patience", type=int, default=_PATIENCE_SECONDS, help="seconds")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--no-write", action="store_true", help="print only")
    return parser.parse_args()


def _chosen(patterns: Sequence[str] | None, with_large: bool) -> list[Case]:
    if patterns is None:
        usual = [case for case in CASES if not case.is_alone]
        return [case for case in usual if with_large or case.stage not in _LARGE]
    found = [case for case in CASES if any(fnmatch.fnmatch(case.name, p) for p in patterns)]
    if not found:
        raise SystemExit(f"no case is called {' or '.join(patterns)}; --list names them")
    return found


async def _measure(
    bench: Bench, cases: Sequence[Case], runs: int, patience: int
) -> dict[str, list[Sample]]:
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    began = time.monotonic()
    for run in range(runs):
        if run and (time.monotonic() - began) * (run + 1) / run > patience:
            print(f"stopped after {run} runs: another would take too long", flush=True)
            break
        for here in bench.stages.values():
            if not here.keeps_rows:
                await here.clear()
        for case in cases:
            if case.stage in bench.stages and (case.times is None or run < case.times):
                sample = await _measure_once(bench, case, run)
                if sample is not None:
                    found[case.name].append(sample)
    return dict(found)


async def _measure_once(bench: Bench, case: Case, run: int) -> Sample | None:
    started = time.monotonic()
    try:
        sample = await case.measure(bench, run)
    except (Failed, OSError) as failure:
        print(f"run {run + 1}: {case.name:<18} FAILED: {failure!r}", flush=True)
        bench.failures.append(f"{case.title}: {failure}")
        return None
    if sample is not None:
        print(
            f"run {run + 1}: {case.name:<18} {sample.rate:>9,.0f}/s  p50 {sample.p50_ms:.2f}"
            f"  p99 {sample.p99_ms:.1f} ms  cpu {sample.app_us:.1f} + {sample.database_us:.1f}"
            f" + client {sample.client_us:.1f} us  others {sample.others_cores:.1f} cores"
            f"  ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
    return sample


async def main() -> None:
    arguments = _arguments()
    cases = _chosen(arguments.only, arguments.large)
    if arguments.list:
        print("\n".join(f"{case.name:<18} {case.title}" for case in CASES))
        return
    directory = Path(tempfile.mkdtemp(prefix="billing-bench-"))
    directory.chmod(0o755)
    try:
        async with setting(
            directory,
            stages={case.stage for case in cases},
            scale=arguments.scale,
            workers=arguments.workers,
            with_open=any(case.name == "single-64-open" for case in cases),
            large_events=arguments.large_events,
        ) as bench:
            samples = await _measure(bench, cases, arguments.runs, arguments.patience)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    found = {name: medians(each) for name, each in samples.items()}
    about = report.about(bench, samples, arguments.workers)
    failed = [f"**Failed** runs: {'; '.join(bench.failures)}."] if bench.failures else []
    parts = (report.targets, report.standing, report.costs)
    text = "\n\n".join(
        [about, *failed, *(part(found) for part in parts), report.figures(cases, found)]
    )
    print(text)
    if not arguments.no_write and arguments.only is None:
        report.write(text)
    if bench.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
