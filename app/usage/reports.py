"""What a cost report says, and its arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal

from app.kernel.periods import Period
from app.kernel.rates import EXACT
from app.usage.domain import Figures, Point

DIMENSIONS = ("agent", "api_key", "debate", "request_type", "user", "workspace")
"""What rollups keep by the day; provider, model and type are kept by the hour."""

MOST_NAMES = 1_000
"""How many names of one dimension a breakdown shows, the dearest first."""

LATENCY_DAYS = 31
LATENCY_EVENTS = 100_000
"""Percentiles cannot be added up from rollups: they look at so many of the latest events."""

HOURLY_DAYS = 31
"""For how long a report shows agents, users and the like by the hour, which no rollup keeps."""

_AVERAGE_PLACES = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Names:
    """The dearest names of a dimension, how many there are, and what all of them add up to."""

    shown: Mapping[str, Figures]
    count: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """Events of a model that wait for a price."""

    provider: str
    model: str
    events: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What the cost of a stretch of time consists of."""

    period: Period
    total: Figures
    by: Mapping[str, Names]
    unpriced: Sequence[UnpricedModel]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds over the latest events of a stretch that say how long they took."""

    events: int
    since: datetime
    p50_ms: Decimal
    p95_ms: Decimal
    p99_ms: Decimal


@dataclass(frozen=True, slots=True)
class CostReport:
    """A breakdown with its course over time, what caching saved, averages and latency."""

    breakdown: Breakdown
    granularity: str
    group_by: str | None
    series: Sequence[Point]
    cached_savings_usd: Decimal
    latency: Latency | None

    @property
    def average_per_event(self) -> Decimal | None:
        """Of the events that have a price."""
        total = self.breakdown.total
        return average(total.cost_usd, total.events - total.unpriced)

    @property
    def average_per_debate(self) -> Decimal | None:
        """Of debates with a name, by all that was spent on them."""
        debates = self.breakdown.by["debate"]
        return average(debates.cost_usd, debates.count)


def average(total: Decimal, count: int) -> Decimal | None:
    """To twelve decimal places; `None` of nothing."""
    if count <= 0:
        return None
    return EXACT.divide(total, Decimal(count)).quantize(_AVERAGE_PLACES, ROUND_HALF_UP, EXACT)


def bucket_of(instant: datetime, unit: str) -> datetime:
    """The start of the hour, day, ISO week or month, in UTC, as the database truncates."""
    at = instant.astimezone(UTC)
    if unit == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = datetime.combine(at.date(), time(), UTC)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def in_buckets(end: Period, unit: str) -> list[Period]:
    """The end of a stretch, shorter than two buckets, cut where the second begins."""
    last = bucket_of(end.end - timedelta(microseconds=1), unit)
    if last <= end.start:
        return [end]
    return [Period(end.start, last), Period(last, end.end)]
