"""Figures as tables, and their place in docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measured import Case, Sample
from benchmarks.targets import TARGETS

REPORT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
MARK = "<!-- measured -->"


def targets(found: Mapping[str, Sample]) -> str:
    """The table of targets."""
    lines = ["| Measure | Target | Measured | |", "|---|---:|---:|---|"]
    for target in TARGETS:
        value, verdict = target.verdict(found)
        lines.append(f"| {target.measure} | {target.wanted} | {value} | {verdict} |")
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
