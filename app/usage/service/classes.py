"""What events of one flush share, and what they add up to: worked out once, sent once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from app.catalog.domain import Metric
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.kernel.rates import EXACT
from app.pricing.domain import Quote, RolePrice
from app.usage.domain import ADDITIVE, Meter, NewEvent
from app.usage.service.tenants import Tenant

COST_SCALE = 18
"""Costs are added up as whole units of 10^-18 USD, the last place that the column keeps."""

HOUR = 3_600_000_000

_UNLIMITED = MetricLimit(None, LimitPolicy.SOFT)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sums:
    """Figures of some events; the cost in units of 10^-18 USD."""

    __slots__ = ("cached", "cost", "events", "quantity", "tokens_in", "tokens_out", "unpriced")

    def __init__(self) -> None:
        self.events = 0
        self.quantity: int | Decimal = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.cached = 0
        self.cost = 0
        self.unpriced = 0

    def count(self, event: NewEvent, quantity: int | Decimal, cost: int | None) -> None:
        self.events += 1
        self.quantity = added(self.quantity, quantity)
        self.tokens_in += event.tokens_in
        self.tokens_out += event.tokens_out
        self.cached += event.cached_tokens
        if cost is None:
            self.unpriced += 1
        else:
            self.cost += cost

    def figures(self) -> tuple[object, ...]:
        """As the columns of a rollup hold them."""
        return (
            self.events,
            self.quantity,
            self.tokens_in,
            self.tokens_out,
            self.cached,
            f"{self.cost}e-{COST_SCALE}",
            self.unpriced,
        )

    def add(self, other: Sums) -> None:
        self.events += other.events
        self.quantity = added(self.quantity, other.quantity)
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.cached += other.cached
        self.cost += other.cost
        self.unpriced += other.unpriced


def taken_json(cost: int | None, counted: str) -> str:
    """What an event takes of what is held: `$` for its cost, beside the metrics it counted."""
    return f'{{"$":"{cost or 0}e-{COST_SCALE}"{"," if len(counted) > 2 else ""}{counted[1:]}'


def added(one: int | Decimal, other: int | Decimal) -> int | Decimal:
    """Their exact sum; most quantities are whole, and whole numbers are cheap."""
    if type(one) is int and type(other) is int:
        return one + other
    return EXACT.add(one, other)


@dataclass(slots=True)
class Counter:
    """A counter that a flush moves: its place, its limit, and by how much."""

    organization_id: OrganizationId
    metric: Metric
    window: Period
    limit: MetricLimit
    amount: int | Decimal = 0
    place: int = 0

    @property
    def most(self) -> Decimal | None:
        """The limit, where it is a hard one."""
        return self.limit.limit if self.limit.policy is LimitPolicy.HARD else None


@dataclass(slots=True, eq=False)
class Place:
    """Where events of one organization, type and window count."""

    window: Period
    window_start: int
    additive: list[Counter]
    others: list[Counter]
    shown: Counter | None


@dataclass(slots=True, eq=False)
class Class:
    """Events of one place, hour, model and price."""

    number: int
    counting: Counting
    place: Place
    event_type: str
    provider: str | None
    model: str | None
    hour: int
    quote: Quote | None
    prices: tuple[int, int, int, int] | None
    sums: Sums = field(default_factory=Sums)

    def cost(self, event: NewEvent) -> int | None:
        """In units of 10^-18 USD; `None` when it has no price (rule 4: no silent zero)."""
        read, output = event.tokens_in, event.tokens_out
        if not (read or output):
            return 0 if event.cost_usd is None else int(EXACT.scaleb(event.cost_usd, COST_SCALE))
        cached, written = event.cached_tokens, event.cache_write_tokens
        prices = self.prices
        if prices is not None:
            total = (read - cached - written) * prices[0] + output * prices[3]
            if cached or written:
                total += cached * prices[1] + written * prices[2]
            return total
        if self.quote is None:
            return None
        exact = self.quote.cost_of(
            read - cached - written, cached, written, output, event.reasoning_tokens
        )
        if exact is None:
            return None
        return int(EXACT.scaleb(exact, COST_SCALE).to_integral_value(ROUND_HALF_UP))


@lru_cache(maxsize=10_000)
def whole_prices(quote: Quote) -> tuple[int, int, int, int] | None:
    """Each role's price of one token in units of 10^-18 USD, where all four are whole and known,
    and nothing else is charged."""
    if quote.reasoning is not None or quote.per_call:
        return None
    found = [
        _whole(price) for price in (quote.input, quote.cache_read, quote.cache_write, quote.output)
    ]
    known = [price for price in found if price is not None]
    return (known[0], known[1], known[2], known[3]) if len(known) == len(found) else None


def _whole(price: RolePrice | None) -> int | None:
    if price is None or price.steps:
        return None
    scaled = EXACT.scaleb(price.per_million, COST_SCALE - 6)
    return int(scaled) if scaled == scaled.to_integral_value() else None


class Counting:
    """An organization's part of one flush."""

    def __init__(self, number: int, organization_id: OrganizationId, tenant: Tenant) -> None:
        self.number = number
        self.organization_id = organization_id
        self.hex_id = organization_id.hex
        self.tenant = tenant
        self.classes: dict[tuple[object, ...], Class] = {}
        self.counters: dict[tuple[str, int], Counter] = {}
        self._window: Period | None = None
        self._window_start = self._since = self._until = 0
        self._places: dict[int, dict[str, Place]] = {}
        self._here: dict[str, Place] = {}

    def place(self, meter: Meter, at: datetime, microseconds: int) -> Place:
        """Where an event of that type and time counts."""
        if not self._since <= microseconds < self._until:
            stretch = self.tenant.stretch(at, microseconds)
            self._window = stretch.window
            self._window_start = stretch.window_start
            self._since = stretch.since
            self._until = stretch.until
            self._here = self._places.setdefault(self._window_start, {})
        place = self._here.get(meter.event_type)
        if place is None:
            place = self._here[meter.event_type] = self._new_place(meter)
        return place

    def _new_place(self, meter: Meter) -> Place:
        window = self._window
        if window is None:
            raise LookupError("no window was chosen")
        counters: list[Counter] = []
        for metric in meter.counts:
            key = (metric.key, self._window_start)
            counter = self.counters.get(key)
            if counter is None:
                limit = self.tenant.limits.get(metric.key, _UNLIMITED)
                counter = Counter(self.organization_id, metric, window, limit)
                self.counters[key] = counter
            counters.append(counter)
        additive = [each for each in counters if each.metric.aggregation in ADDITIVE]
        others = [each for each in counters if each.metric.aggregation not in ADDITIVE]
        limited = [each for each in counters if each.limit.limit is not None]
        shown = next(iter(limited or counters), None)
        return Place(window, self._window_start, additive, others, shown)


@lru_cache(maxsize=10_000)
def month_of(hour: int) -> str:
    """The calendar month (`2026-11`) of an hour counted from 1970."""
    return f"{_EPOCH + timedelta(hours=hour):%Y-%m}"


@lru_cache(maxsize=10_000)
def price_ids(quote: Quote) -> str:
    """The rows of the price book that a quote came from, as an array's literal."""
    return "{" + ",".join(str(row_id) for row_id in quote.row_ids) + "}"
