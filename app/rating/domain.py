"""Rating: a window's totals and a price in, an exact amount and how it came about out.

Amounts are in the price's currency, in major units. Where products that bill usage differ, rule 6
decides: a tier's upper bound belongs to the tier, a started package is a whole one, and at zero
usage a tier's flat amount is charged only where the plan says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, localcontext

from app.catalog.domain import (
    DimensionPrice,
    FlatPrice,
    GraduatedPrice,
    PackagePrice,
    PercentagePrice,
    PerUnitPrice,
    Tier,
    UsagePrice,
    VolumePrice,
)
from app.kernel.money import Currency, Money
from app.kernel.periods import Period
from app.kernel.rates import EXACT

ANY = "*"

_NOTHING = Decimal(0)
# Two figures of numeric(38, 12) multiplied have 76 digits; what would not fit raises.
_STRICT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation])


@dataclass(frozen=True, slots=True)
class Usage:
    """What a window adds up to. Shares of an amount are rated by events as well."""

    quantity: Decimal = _NOTHING
    events: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.quantity + other.quantity, self.events + other.events)


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of the way to an amount: so many units at so much, plus something flat."""

    name: str
    units: Decimal
    unit_amount: Decimal
    flat_amount: Decimal = _NOTHING

    @property
    def amount(self) -> Decimal:
        with localcontext(_STRICT):
            return self.units * self.unit_amount + self.flat_amount


@dataclass(frozen=True, slots=True)
class Rated:
    """An exact amount and the steps that add up to it."""

    steps: tuple[Step, ...] = ()

    @property
    def amount(self) -> Decimal:
        with localcontext(_STRICT):
            return sum((step.amount for step in self.steps), _NOTHING)

    @property
    def unit_amount(self) -> Decimal | None:
        """What one unit costs, where every unit costs the same and nothing is flat."""
        if len(self.steps) != 1 or self.steps[0].flat_amount:
            return None
        return self.steps[0].unit_amount


@dataclass(frozen=True, slots=True)
class Terms:
    """How a plan charges a metric over one window.

    `included` units are free and do not reach the price. `minimum` is owed even for nothing,
    `maximum` caps what the price comes to.
    """

    price: UsagePrice
    included: Decimal = _NOTHING
    minimum: Decimal | None = None
    maximum: Decimal | None = None


Dimension = tuple[str, str, str]
"""Provider, model and token role."""


def rate(price: UsagePrice, usage: Usage) -> Rated:
    """What *usage* of one whole window costs. Raises `Inexact` rather than round."""
    with localcontext(_STRICT):
        match price:
            case FlatPrice():
                return Rated((Step("flat", _NOTHING, _NOTHING, price.amount),))
            case PerUnitPrice():
                return Rated((Step("units", usage.quantity, price.unit_amount),))
            case GraduatedPrice():
                return _graduated(price, usage.quantity)
            case VolumePrice():
                return _volume(price, usage.quantity)
            case PackagePrice():
                return _packages(price, usage.quantity)
            case PercentagePrice():
                return _share(price, usage)


def charge(terms: Terms, usage: Usage) -> Rated:
    """What a plan asks for a window's *usage* of a metric."""
    billable = max(usage.quantity - terms.included, _NOTHING)
    rated = rate(terms.price, Usage(billable, usage.events))
    if terms.minimum is not None and rated.amount < terms.minimum:
        return _topped_up(rated, "minimum spend", terms.minimum)
    if terms.maximum is not None and rated.amount > terms.maximum:
        return _topped_up(rated, "maximum spend", terms.maximum)
    return rated


def charge_dimensions(
    terms: Terms,
    prices: Sequence[DimensionPrice],
    usage: Mapping[Dimension, Usage],
    currency: Currency,
) -> dict[Dimension, Rated]:
    """What each model and token role comes to, at the closest price; the terms' own is the last.

    Each dimension has tiers and packages of its own. Minimum and maximum hold for all together, as
    each is rounded to *currency*; what they change stands under the dimension of nothing,
    `("", "", "")`. Raises `ValueError` where units are included: nothing says whose.
    """
    if terms.included:
        raise ValueError("included units do not say which dimension they are of")
    rated = {
        dimension: rate(_closest(prices, dimension) or terms.price, used)
        for dimension, used in sorted(usage.items())
    }

    def rounded(amount: Decimal) -> Decimal:
        return Money.from_major(amount, currency).major

    with localcontext(_STRICT):
        # Of what stands on the lines: a bound on exact sums would be missed by each one's rounding.
        whole = sum((rounded(each.amount) for each in rated.values()), _NOTHING)
        bounded = whole
        if terms.minimum is not None:
            bounded = max(bounded, rounded(terms.minimum))
        if terms.maximum is not None:
            bounded = min(bounded, rounded(terms.maximum))
        if bounded != whole:
            name = "minimum spend" if bounded > whole else "maximum spend"
            # Use of no model stands there, too.
            before = rated.get(("", "", ""), Rated())
            more = bounded - whole + rounded(before.amount) - before.amount
            step = Step(name, _NOTHING, _NOTHING, more)
            rated["", "", ""] = Rated((*before.steps, step))
    return rated


def true_up(commitment: Decimal, spent: Iterable[Decimal], currency: Currency) -> Decimal:
    """What is missing to a window's committed spend; nothing once it is reached.

    Each amount *spent* is a line of its own, so each counts as it is rounded to *currency*: then
    the lines and what is missing come to the commitment, to the cent.
    """
    with localcontext(_STRICT):
        reached = sum((Money.from_major(each, currency).major for each in spent), _NOTHING)
        return max(Money.from_major(commitment, currency).major - reached, _NOTHING)


def marginal(price: UsagePrice, before: Usage, more: Usage) -> Decimal:
    """What *more* adds to a window in which *before* was rated already. It can be negative: in a
    volume price more units may cost less."""
    return rate(price, before + more).amount - rate(price, before).amount


def prorated(amount: Decimal, used: Period, of: Period) -> Decimal:
    """The part of *amount* that *used* is of a whole period, by the second (rule 6).

    A quotient need not end; it is carried to 60 digits, and an exact half stays one.
    """
    with localcontext(EXACT):
        return amount * used.seconds / of.seconds


def _graduated(price: GraduatedPrice, quantity: Decimal) -> Rated:
    if not quantity:
        return _at_zero(price.tiers[0], is_charged=price.flat_at_zero)
    steps: list[Step] = []
    low = _NOTHING
    for number, tier in enumerate(price.tiers, start=1):
        high = quantity if tier.up_to is None else min(tier.up_to, quantity)
        steps.append(Step(f"tier {number}", high - low, tier.unit_amount, tier.flat_amount))
        low = high
        if low == quantity:
            break
    return Rated(tuple(steps))


def _volume(price: VolumePrice, quantity: Decimal) -> Rated:
    if not quantity:
        return _at_zero(price.tiers[0], is_charged=price.flat_at_zero)
    for number, tier in enumerate(price.tiers, start=1):
        if tier.up_to is None or quantity <= tier.up_to:
            return Rated((Step(f"tier {number}", quantity, tier.unit_amount, tier.flat_amount),))
    raise ValueError("the last tier has no upper bound")


def _at_zero(first: Tier, *, is_charged: bool) -> Rated:
    if not is_charged:
        return Rated()
    return Rated((Step("tier 1", _NOTHING, first.unit_amount, first.flat_amount),))


def _packages(price: PackagePrice, quantity: Decimal) -> Rated:
    billable = max(quantity - price.free_units, _NOTHING)
    whole, rest = divmod(billable, price.size)
    return Rated((Step("packages", whole + (1 if rest else 0), price.amount),))


def _share(price: PercentagePrice, usage: Usage) -> Rated:
    amount = max(usage.quantity - price.free_amount, _NOTHING)
    events = max(usage.events - price.free_events, 0)
    share = Step("share", amount, price.rate)
    if not price.fixed_per_event:
        return Rated((share,))
    return Rated((share, Step("events", Decimal(events), price.fixed_per_event)))


def _topped_up(rated: Rated, name: str, to: Decimal) -> Rated:
    with localcontext(_STRICT):
        return Rated((*rated.steps, Step(name, _NOTHING, _NOTHING, to - rated.amount)))


def _closest(prices: Sequence[DimensionPrice], dimension: Dimension) -> UsagePrice | None:
    provider, model, role = dimension
    models = {f"{provider}/{model}": 2, model: 1, ANY: 0}
    fitting = [
        (models[each.model], each.role == role, each.price)
        for each in prices
        if each.model in models and each.role in (role, ANY)
    ]
    return max(fitting, key=lambda found: found[:2])[2] if fitting else None
