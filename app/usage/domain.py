"""What an event is, what it counts towards, and what a quota says. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.catalog.domain import Aggregation, Catalog, Measure, Metric
from app.kernel.entitlements import LimitPolicy
from app.kernel.errors import Malformed
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period

OLDEST = timedelta(days=35)
NEWEST = timedelta(minutes=5)

ADDITIVE = frozenset({Aggregation.SUM, Aggregation.COUNT})

NOTICE_PERCENTS = (100, 80)


SPEND = "spend"
"""The type of events whose cost is given: money that was not spent on a call to a model."""


# Not frozen: freezing would make each of a thousand events of a batch three times as dear to build.
@dataclass(slots=True)
class NewEvent:
    """An event as it was sent, checked for shape; `payload` is what a repeat must equal."""

    key: str
    type: str
    payload: bytes
    quantity: Decimal
    occurred_at: datetime | None
    provider: str | None
    model: str | None
    tokens_in: int
    tokens_out: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    user_id: str | None
    debate_id: str | None
    agent: str | None
    workspace: str | None
    request_type: str | None
    rounds: int | None
    latency_ms: Decimal | None
    metadata: str | None
    raw_usage: str | None
    cost_usd: Decimal | None = None
    """What it cost, where that is given instead of worked out; only for events of `SPEND`."""


class OccurredTooLongAgo(Malformed):
    """occurred_at is more than 35 days ago; an operator can backfill it."""

    code = "occurred_too_long_ago"


class OccurredInTheFuture(Malformed):
    """occurred_at is more than 5 minutes ahead."""

    code = "occurred_in_the_future"


class UnknownEventType(Malformed):
    """{type} is no metric of the catalog; known are {known}."""

    code = "unknown_event_type"


@dataclass(frozen=True, slots=True)
class Meter:
    """What events of one type count towards: their own metric, and those that include it."""

    event_type: str
    metric: str
    counts: tuple[Metric, ...]


SPENDING = Meter(SPEND, SPEND, ())
"""Spending counts towards no metric; limits on spending see its cost."""


class Meters:
    """Event types of a catalog. Callers may write the type or the metric's own name."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        limited = {metric for plan in catalog.plans for metric in plan.limits}
        self._by_name: dict[str, Meter] = {}
        for metric in catalog.metrics.values():
            if metric.counts or metric.counts_every_event:
                continue
            # What counts every event is read from the rollups, unless a plan limits it.
            also = [
                other
                for other in catalog.metrics.values()
                if metric.key in other.counts or (other.counts_every_event and other.key in limited)
            ]
            event_type = metric.event_type or metric.key
            meter = Meter(event_type, metric.key, (metric, *also))
            self._by_name[event_type] = meter
            self._by_name.setdefault(metric.key, meter)
        self.event_type_of = {meter.metric: meter.event_type for meter in self._by_name.values()}

    def find(self, name: str) -> Meter:
        """Raises `UnknownEventType`."""
        meter = self._by_name.get(name)
        if meter is None:
            known = ", ".join(sorted({meter.event_type for meter in self._by_name.values()}))
            raise UnknownEventType(type=name[:100], known=known)
        return meter


def amount_of(metric: Metric, event: NewEvent) -> int | Decimal:
    """How much one event adds to *metric*, before it is aggregated."""
    if metric.aggregation in {Aggregation.COUNT, Aggregation.UNIQUE}:
        return 1
    match metric.measure:
        case Measure.QUANTITY:
            return event.quantity
        case Measure.TOKENS:
            return event.tokens_in + event.tokens_out
        case Measure.TOKENS_IN:
            return event.tokens_in
        case Measure.TOKENS_OUT:
            return event.tokens_out


def check_time(occurred_at: datetime, now: datetime) -> None:
    """Raises when it happened too long ago or has not happened yet (rule 3)."""
    if occurred_at < now - OLDEST:
        raise OccurredTooLongAgo
    if occurred_at > now + NEWEST:
        raise OccurredInTheFuture


_RANDOM = random.Random()  # noqa: S311 - ids are names, not secrets


def event_id_at(microseconds: int) -> str:
    """The hexadecimal digits of a UUIDv7 whose time is when the event happened, to the millisecond.

    Its 74 random bits keep ids of one millisecond apart.
    """
    bits = _RANDOM.getrandbits(74)
    # A quarter quicker than an f-string.
    return "%012x7%03x%016x" % (microseconds // 1000, bits >> 62, _VARIANT | bits & _LOW_62)  # noqa: UP031


_LOW_62 = (1 << 62) - 1
_VARIANT = 1 << 63


def first_id_at(instant: datetime) -> UUID:
    """The smallest id of the millisecond of *instant*: a bound for ranges of ids."""
    return UUID(int=microseconds_of(instant) // 1000 << 80)


def instant_of(event_id: UUID) -> datetime:
    """The millisecond in which an event with this id happened."""
    return _EPOCH + timedelta(milliseconds=event_id.int >> 80)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


def microseconds_of(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Quota:
    """Where an organization stands with a metric in a window. `None` is unlimited."""

    metric: str
    limit: Decimal | None
    policy: LimitPolicy
    used: Decimal
    held: Decimal
    window: Period
    aggregation: Aggregation = Aggregation.SUM

    @property
    def remaining(self) -> Decimal | None:
        if self.limit is None:
            return None
        return max(self.limit - self.used - self.held, Decimal(0))

    @property
    def overage(self) -> Decimal:
        if self.limit is None:
            return Decimal(0)
        return max(self.used - self.limit, Decimal(0))

    def allows(self, quantity: Decimal) -> bool:
        """Whether *quantity* more would be recorded if it came now with `enforce`."""
        if self.limit is None or self.policy is not LimitPolicy.HARD:
            return True
        return self.with_more(quantity) <= self.limit

    def with_more(self, quantity: Decimal) -> Decimal:
        """What a limit is held against when *quantity* comes.

        A level is held against it alone: a peak of 9 after one of 7 is 9, not 16. Of different
        values, *quantity* is how many the window has not seen.
        """
        if self.aggregation in {Aggregation.MAX, Aggregation.LATEST}:
            return quantity
        return self.used + self.held + quantity


@dataclass(frozen=True, slots=True)
class Figures:
    """A sum over events."""

    events: int = 0
    quantity: Decimal = Decimal(0)
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.events + other.events,
            self.quantity + other.quantity,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cached_tokens + other.cached_tokens,
            self.cost_usd + other.cost_usd,
            self.unpriced + other.unpriced,
        )

    @property
    def total_tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def known_cost(self) -> Decimal | None:
        """The cost of what has a price; `None`, never 0, where only what has none could cost."""
        return None if self.unpriced and not self.cost_usd else self.cost_usd


@dataclass(frozen=True, slots=True)
class Summary:
    """What an organization used in a stretch of time, and of what it consists."""

    period: Period
    total: Figures
    by_type: Mapping[str, Figures]
    by_provider: Mapping[str, Figures]
    by_model: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of a timeseries, with what it is grouped by."""

    start: datetime
    group: str | None
    figures: Figures


def sums_by(rows: Sequence[tuple[str, Figures]]) -> dict[str, Figures]:
    """Rows added up by their name, names in order."""
    found: dict[str, Figures] = {}
    for name, figures in rows:
        found[name] = found[name] + figures if name in found else figures
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a list shows."""

    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    debate_id: str | None = None
    workspace: str | None = None
    agent: str | None = None
    model: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """Use has reached *percent* of a limit."""

    organization_id: OrganizationId
    metric: str
    window_start: datetime
    percent: int


@dataclass(frozen=True, slots=True)
class Credits:
    """Credits of a plan that has them: what it includes, and what went beyond."""

    included: Decimal | None
    used: Decimal
    remaining: Decimal | None
    overage: Decimal
    overage_cost: Decimal
    price_per_1k: Decimal | None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What a customer's dashboard shows about usage."""

    tier: str
    period: Period
    today: Mapping[str, Decimal]
    month: Mapping[str, Decimal]
    quotas: Sequence[Quota]
    credits: Credits | None
