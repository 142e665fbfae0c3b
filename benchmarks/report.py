"""Figures as tables, and their place in docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.large import MANY
from benchmarks.measured import Case, Sample
from benchmarks.targets import TARGETS

REPORT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
MARK = "<!-- measured -->"


def about(bench: Bench, samples: Mapping[str, Sequence[Sample]], workers: int) -> str:
    """When, on what, how often, and whether what was acknowledged was there."""
    runs = max((len(each) for each in samples.values()), default=0)
    busy = [sample.others_cores for each in samples.values() for sample in each] or [0.0]
    client = max(
        (each.client_us * each.rate / 1e6 for runs in samples.values() for each in runs), default=0
    )
    scale = "" if bench.scale == 1 else f" at scale {bench.scale:g}"
    processes = "" if workers == 1 else f" The service ran in {workers} processes."
    version = bench.fast.database.version
    stored = _large(bench.large_events)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: medians of {runs} interleaved runs{scale}. "
        f"{machine.facts(version)}, shared by client, service and database; fsync and "
        f"synchronous_commit on. Others used {median(busy):.1f} of these cores meanwhile (at worst "
        f"{max(busy):.1f}), the client at most {client:.1f}.{processes}{stored} {bench.acknowledged:,} events acknowledged, each "
        f"found by its id among {bench.stored:,} rows that add up to every rollup."
    )


def _large(events: int) -> str:
    if not events:
        return ""
    if events == MANY:
        return f" The large tables held {events:,} events."
    return (
        f" The large tables were **scaled down to {events:,} events**: read 20 million as that, and "
        "1 million, 10 million and 100 thousand as the same share of it."
    )


def targets(found: Mapping[str, Sample]) -> str:
    """The table of targets."""
    lines = ["| Measure | Target | Measured | |", "|---|---:|---:|---|"]
    for target in TARGETS:
        value, verdict = target.verdict(found)
        lines.append(f"| {target.measure} | {target.wanted} | {value} | {verdict} |")
    return "\n".join(lines)


def standing(found: Mapping[str, Sample]) -> str:
    """How many targets are reached, and which are not."""
    judged = [(target, target.is_reached(found)) for target in TARGETS]
    missed = [target.measure for target, reached in judged if reached is False]
    unknown = [target.measure for target, reached in judged if reached is None]
    reached = len(judged) - len(missed) - len(unknown)
    text = f"Of {len(judged)} targets {reached} are reached."
    if missed:
        text += f" **Not reached: {'; '.join(missed)}.**"
    if unknown:
        text += f" Not measured in this run: {'; '.join(unknown)}."
    return text


_COSTS = (
    ("single-64", "A single event over HTTP, 64 at once"),
    ("single-1", "A single event, nobody else asking"),
    ("batch-100", "An event in a batch of 100"),
    ("batch-1000", "An event in a batch of 1,000"),
    ("consume-http", "A single event checked against a hard limit"),
    ("reserve-commit", "A reservation with its commit"),
    ("read-subscription", "A read of the subscription"),
    ("read-quota", "A read of the quota"),
    ("webhook", "A Stripe event"),
    ("naive", "For comparison: the naive rival's event"),
)


def costs(found: Mapping[str, Sample]) -> str:
    """What a deployment pays for each, and how many of them keep one core busy."""
    lines = [
        "| Cost of one | CPU ms, app + Postgres | a core does, per second | statements a request |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {words} | {sample.cpu_ms:.3f} | {1_000 / sample.cpu_ms:,.0f} | {sample.statements:.3f} |"
        for name, words in _COSTS
        if (sample := found.get(name)) is not None and sample.cpu_ms
    ]
    return "\n".join(lines)


def figures(cases: Sequence[Case], found: Mapping[str, Sample]) -> str:
    """The table of what was measured."""
    columns = (
        *("What", "per second", "p50 ms", "p99 ms", "app CPU µs", "Postgres CPU µs"),
        *("client CPU µs", "statements a request"),
    )
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    lines += [
        f"| {case.title} | {sample.rate:,.0f} | {sample.p50_ms:.2f} | {sample.p99_ms:.1f} "
        f"| {sample.app_us:.1f} | {sample.database_us:.1f} | {sample.client_us:.1f} "
        f"| {sample.statements:.3f} |"
        for case in cases
        if (sample := found.get(case.name)) is not None
    ]
    return "\n".join(lines)


def write(text: str, report: Path = REPORT) -> None:
    """Put *text* between the marks; what is around them stays."""
    before, _, rest = report.read_text().partition(MARK)
    _, _, after = rest.partition(MARK)
    report.write_text(f"{before}{MARK}\n\n{text}\n\n{MARK}{after}")
