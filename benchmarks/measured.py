"""What a case measures, and the medians of its runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.bench import Bench


class Failed(Exception):
    """A run of a case that says nothing about speed: wrong answers, or figures that do not add up."""


@dataclass(frozen=True)
class Sample:
    """One run of a case. Rates and CPU are per event, latencies and statements per request."""

    rate: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    app_us: float = 0.0
    database_us: float = 0.0
    client_us: float = 0.0
    statements: float = 0.0
    others_cores: float = 0.0
    """How much of the machine somebody else used meanwhile."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """What else was counted; more is worse."""

    @property
    def cpu_ms(self) -> float:
        """App and database together, per event."""
        return (self.app_us + self.database_us) / 1000


Measure = Callable[["Bench", int], Awaitable[Sample | None]]


@dataclass(frozen=True)
class Case:
    """One thing to measure. *measure* answers `None` where this machine lacks what it needs."""

    name: str
    title: str
    measure: Measure
    stage: str = "fast"
    times: int | None = None
    """How often, whatever `--runs` says; for what is too slow to repeat."""
    is_alone: bool = False
    """Only when it is named: it takes longer than all others together."""


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure for itself; of facts the largest."""
    figures = {
        each.name: median(getattr(sample, each.name) for sample in samples)
        for each in fields(Sample)
        if each.name != "facts"
    }
    facts = {
        name: max(sample.facts[name] for sample in samples)
        for name in (samples[0].facts if samples else {})
    }
    return Sample(**figures, facts=facts)
