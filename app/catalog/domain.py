"""Plans, metrics and price models as values. `null` is unlimited, `0` is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.kernel.entitlements import NO_PLAN, Entitlements, LimitPolicy, MetricLimit
from app.kernel.money import USD, Currency, Money
from app.kernel.periods import Period


class Aggregation(StrEnum):
    """How the events of a window become one figure."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    UNIQUE = "unique"
    LATEST = "latest"


class Measure(StrEnum):
    """Which figure of an event a metric looks at."""

    QUANTITY = "quantity"
    TOKENS = "tokens"
    TOKENS_IN = "tokens_in"
    TOKENS_OUT = "tokens_out"


class Interval(StrEnum):
    """How often a plan's fee is due."""

    MONTH = "month"
    YEAR = "year"


class QuotaWindow(StrEnum):
    """Over which time a limit is counted (rule 2)."""

    BILLING_PERIOD = "billing_period"
    CALENDAR_MONTH = "calendar_month"


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that is counted.

    `event_type` is what callers write; events of the types in `counts` add to this metric as
    well as to their own; with `counts_every_event` all of them do.
    """

    key: str
    aggregation: Aggregation
    unit: str
    measure: Measure = Measure.QUANTITY
    event_type: str | None = None
    counts: tuple[str, ...] = ()
    counts_every_event: bool = False
    unique_field: str | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """A stretch of units up to and including `up_to`; `None` is the last one."""

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal


@dataclass(frozen=True, slots=True)
class FlatPrice:
    """One amount, however much is used."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class PerUnitPrice:
    """The same amount for each unit."""

    unit_amount: Decimal


@dataclass(frozen=True, slots=True)
class GraduatedPrice:
    """Each unit at the price of the tier it falls into."""

    tiers: tuple[Tier, ...]
    flat_at_zero: bool


@dataclass(frozen=True, slots=True)
class VolumePrice:
    """All units at the price of the tier that the total falls into."""

    tiers: tuple[Tier, ...]
    flat_at_zero: bool


@dataclass(frozen=True, slots=True)
class PackagePrice:
    """An amount for each package of `size` units; a started package counts whole."""

    amount: Decimal
    size: Decimal
    free_units: Decimal


@dataclass(frozen=True, slots=True)
class PercentagePrice:
    """A share of the amount that passed through, plus a fixed fee for each event."""

    rate: Decimal
    fixed_per_event: Decimal
    free_events: int
    free_amount: Decimal


UsagePrice = (
    FlatPrice | PerUnitPrice | GraduatedPrice | VolumePrice | PackagePrice | PercentagePrice
)


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """A plan's fee for an interval, and the Stripe price that sells it.

    `money` is `None` where only Stripe knows the amount.
    """

    money: Money | None
    interval: Interval
    stripe_price_id: str | None


@dataclass(frozen=True, slots=True)
class DimensionPrice:
    """A price for one model and token role; `*` stands for any.

    `model` may name the provider, too: `anthropic/claude-sonnet-4`.
    """

    model: str
    role: str
    price: UsagePrice


@dataclass(frozen=True, slots=True)
class MeteredPrice:
    """What use of a metric costs in a plan.

    `price` is `None` where Stripe's own metered price decides. Under an overage limit it rates
    what goes beyond the limit, else what goes beyond the `included` units. `dimensions` are
    closer prices for single models and token roles. The spends are bounds for one window.
    """

    metric: str
    price: UsagePrice | None
    stripe_price_id: str | None
    included: Decimal = Decimal(0)
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    dimensions: tuple[DimensionPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Something an organization can hold. A higher rank is a better plan."""

    key: str
    name: str
    description: str
    rank: int
    prices: tuple[PlanPrice, ...]
    seat_limit: int | None
    limits: Mapping[str, MetricLimit]
    features: frozenset[str]
    metered: tuple[MeteredPrice, ...]
    trial_days: int
    commitment: Decimal | None = None
    """What a window's usage costs at least, all metrics together."""
    draws_on_credit: bool = False
    """Whether what calls to models cost is taken from prepaid credit, and refused beyond it."""

    @property
    def is_free(self) -> bool:
        return bool(self.prices) and all(
            price.money is not None and not price.money for price in self.prices
        )

    def price(self, interval: Interval | str) -> PlanPrice | None:
        return next((price for price in self.prices if price.interval == interval), None)

    def covers(self, metric: str, quantity: Decimal) -> bool:
        """Whether *quantity* of *metric* in one window fits this plan without being refused."""
        limit = self.limits.get(metric)
        if limit is None or limit.limit is None or limit.policy is not LimitPolicy.HARD:
            return True
        return quantity <= limit.limit


@dataclass(frozen=True, slots=True)
class Catalog:
    """One version of everything that can be bought. Immutable."""

    id: UUID
    name: str
    window: QuotaWindow
    default_plan_key: str | None
    metrics: Mapping[str, Metric]
    plans: tuple[Plan, ...]
    currency: Currency = USD
    content_hash: str = ""

    def plan(self, key: str) -> Plan | None:
        return next((plan for plan in self.plans if plan.key == key), None)

    @property
    def default_plan(self) -> Plan | None:
        """What an organization without a subscription holds; `None` where nothing is free."""
        return self.plan(self.default_plan_key) if self.default_plan_key else None

    def plan_for_price(self, price_id: str) -> tuple[str, str] | None:
        """The plan and interval that a Stripe price sells, or `None` for a price of no plan."""
        for plan in self.plans:
            for price in plan.prices:
                if price.stripe_price_id == price_id:
                    return plan.key, price.interval.value
        return None

    def price_id(self, plan: str, interval: str) -> str | None:
        """The Stripe price that sells *plan* by *interval*, where one is configured."""
        found = self.plan(plan)
        price = found.price(interval) if found else None
        return price.stripe_price_id if price else None

    def entitlements(self, plan_key: str, window: Period | None) -> Entitlements:
        """What *plan_key* grants in *window*. Raises `LookupError` for an unknown plan."""
        plan = self.plan(plan_key)
        if plan is None:
            raise LookupError(f"the catalog {self.name} has no plan {plan_key}")
        return Entitlements(
            plan=plan.key,
            catalog_version=self.id,
            limits=plan.limits,
            features=plan.features,
            seat_limit=plan.seat_limit,
            window=None if self.window is QuotaWindow.CALENDAR_MONTH else window,
            draws_on_credit=plan.draws_on_credit,
        )

    def free_entitlements(self) -> Entitlements:
        """What an organization without a subscription may use.

        Where the catalog has no free plan: one seat, no feature, and none of any metric.
        """
        plan = self.default_plan
        if plan is not None:
            return self.entitlements(plan.key, None)
        return Entitlements(
            plan=NO_PLAN,
            catalog_version=self.id,
            limits={key: MetricLimit(Decimal(0)) for key in self.metrics},
        )

    def upgrade_for_feature(self, feature: str, plan_key: str) -> str | None:
        """The lowest plan above *plan_key* that has *feature*."""
        return next((plan.key for plan in self._above(plan_key) if feature in plan.features), None)

    def upgrade_for_quantity(self, metric: str, quantity: Decimal, plan_key: str) -> str | None:
        """The lowest plan above *plan_key* in which *quantity* of *metric* fits."""
        return next(
            (plan.key for plan in self._above(plan_key) if plan.covers(metric, quantity)), None
        )

    def upgrade_for_seats(self, seats: int, plan_key: str) -> str | None:
        """The lowest plan above *plan_key* with room for so many people."""
        return next(
            (
                plan.key
                for plan in self._above(plan_key)
                if plan.seat_limit is None or plan.seat_limit >= seats
            ),
            None,
        )

    def upgrade_beyond_credit(self, plan_key: str) -> str | None:
        """The lowest plan above *plan_key* in which calls need no credit."""
        return next((plan.key for plan in self._above(plan_key) if not plan.draws_on_credit), None)

    def _above(self, plan_key: str) -> list[Plan]:
        held = self.plan(plan_key)
        rank = held.rank if held else -1
        return [plan for plan in self.plans if plan.rank > rank]
