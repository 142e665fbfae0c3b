"""What a plan asks for a window: its fee, its metered use, what was committed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from enum import StrEnum

from app.catalog.domain import (
    Aggregation,
    Catalog,
    Interval,
    Measure,
    MeteredPrice,
    Metric,
    Plan,
)
from app.kernel.entitlements import LimitPolicy
from app.kernel.money import USD, Currency, Money
from app.kernel.periods import Period, plus_months
from app.kernel.rates import EXACT, plain
from app.rating.domain import (
    ANY,
    Dimension,
    Rated,
    Terms,
    Usage,
    charge,
    charge_dimensions,
    prorated,
    true_up,
)
from app.usage.closed import ClosedLine

_TOKENS = {Measure.TOKENS, Measure.TOKENS_IN, Measure.TOKENS_OUT}


class LineKind(StrEnum):
    """What a line is for."""

    FEE = "fee"
    USAGE = "usage"
    TRUE_UP = "true_up"
    ADJUSTMENT = "adjustment"


class CostsAreInDollars(ValueError):
    """Usage at cost is in US dollars; this document is not."""


class UnitsOfNobody(ValueError):
    """A plan includes units of a metric, and its dimension prices do not say whose. Catalog files
    that do so are refused; versions that were stored before they were are not."""

    def __init__(self, **where: str) -> None:
        super().__init__(where)
        self.where = where


@dataclass(frozen=True, slots=True)
class Charge:
    """An exact amount and what it is for. `key` names it over all drafts of its window."""

    kind: LineKind
    key: str
    description: str
    amount: Decimal
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    rated: Rated | None = None
    share: Share | None = None
    """Of a fee: what it is a part of."""
    period: Period | None = None
    """What of its window it is for, where that is not all of it."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a whole period's amount that a shorter one is, by the second."""

    amount: Decimal
    used: Period
    of: Period

    @property
    def is_whole(self) -> bool:
        return self.used == self.of


def bills_usage(plan: Plan) -> bool:
    """Whether usage under *plan* is billed by us, in whole or in part."""
    return (
        any(is_ours(item) for item in plan.metered)
        or plan.commitment is not None
        or _bills_at_cost(plan)
    )


def charges_of(
    plan: Plan | None,
    catalog: Catalog,
    lines: Sequence[ClosedLine],
    period: Period,
    *,
    with_fee: bool,
    at_cost: bool = False,
) -> list[Charge]:
    """The charges of one window, in the order of the document.

    *with_fee* where nobody else bills the plan itself. *at_cost* bills LLM usage at what it cost
    even where the plan does not say so.
    """
    found: list[Charge] = []
    if plan is not None and with_fee:
        found += fee_of_window(plan, period)
    for item in plan.metered if plan is not None else ():
        if plan is not None and is_ours(item):
            found += _metered(plan, item, catalog, lines)
    if bills_costs(plan, at_cost=at_cost):
        found += _costs(lines, catalog.currency)
    if plan is not None and plan.commitment is not None:
        spent = [one.amount for one in found if one.kind is LineKind.USAGE]
        missing = true_up(plan.commitment, spent, catalog.currency)
        if missing:
            found.append(
                Charge(
                    LineKind.TRUE_UP,
                    "true_up",
                    f"Up to the committed {plain(plan.commitment)}",
                    missing,
                )
            )
    return found


def is_ours(item: MeteredPrice) -> bool:
    """Whether it is for us to bill, and not for Stripe."""
    return item.price is not None and item.stripe_price_id is None


def bills_costs(plan: Plan | None, *, at_cost: bool) -> bool:
    """Whether usage is billed at what it cost."""
    if plan is None or _bills_at_cost(plan):
        return True
    # What is drawn from credit has been paid for.
    return at_cost and not plan.metered and not plan.draws_on_credit


def included_units(plan: Plan, item: MeteredPrice) -> Decimal | None:
    """What of a metric is free in one window; None where all of it is."""
    limit = plan.limits.get(item.metric)
    if limit is None or limit.policy is not LimitPolicy.OVERAGE:
        return item.included
    return None if limit.limit is None else max(item.included, limit.limit)


def _bills_at_cost(plan: Plan) -> bool:
    """Tokens that are metered without a price of ours and without one of Stripe's cost what the
    model's provider charges."""
    metered = [item for item in plan.metered if item.metric.startswith("tokens")]
    return bool(metered) and all(
        item.price is None and item.stripe_price_id is None for item in metered
    )


def fee_of_window(plan: Plan, period: Period) -> list[Charge]:
    """The fee of a plan that was held for the whole of a window."""
    whole = Period(period.start, plus_months(period.start, 1))
    return fee_of(plan, Period(period.start, min(period.end, whole.end)), whole)


def fee_of(plan: Plan, part: Period, whole: Period, key: str = "fee") -> list[Charge]:
    """What a *part* of a period costs of the fee for the *whole* of it."""
    price = plan.price(Interval.MONTH)
    if price is None or not price.money:
        return []
    share = Share(price.money.major, part, whole)
    amount, name = price.money.major, f"{plan.name} plan"
    unit = amount
    if not share.is_whole:
        amount = prorated(amount, part, whole)
        unit = Money.from_major(amount, price.money.currency).major
        name += (
            f", {_moment(part.start)} to {_moment(part.end)} UTC: {part.seconds:,} of"
            f" {whole.seconds:,} seconds at {plain(price.money.major)} a month"
        )
    return [
        Charge(
            LineKind.FEE, key, name, amount, Decimal(1), unit_amount=unit, share=share, period=part
        )
    ]


def _moment(instant: datetime) -> str:
    text = instant.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return text.removesuffix("+00:00").removesuffix(":00")


def _metered(
    plan: Plan,
    item: MeteredPrice,
    catalog: Catalog,
    lines: Sequence[ClosedLine],
) -> list[Charge]:
    metric = catalog.metrics[item.metric]
    included = included_units(plan, item)
    if item.price is None or included is None:
        return []
    if item.dimensions and included:
        raise UnitsOfNobody(plan=plan.key, metric=metric.key, catalog_version=str(catalog.id))
    terms = Terms(item.price, included, item.minimum_spend, item.maximum_spend)
    counted = [
        line
        for line in lines
        if counts(metric, line.metric, catalog.metrics)
        # The tokens of a call that credit has paid for are paid for; that there was one is not.
        and not (line.from_credit and metric.measure in _TOKENS)
    ]
    name = metric.key.replace("_", " ").capitalize()
    if item.dimensions:
        rated = charge_dimensions(
            terms, item.dimensions, _by_dimension(metric, counted), catalog.currency
        )
        return [
            _usage(f"metric:{metric.key}:{'/'.join(key)}", f"{name}{_of(key)}", each)
            for key, each in rated.items()
        ]
    used = sum((_figure(metric, line) for line in counted), Usage())
    beyond = f" beyond {plain(included)} included" if included else ""
    rated_whole = charge(terms, used)
    if not rated_whole.amount and not used.quantity:
        return []
    billable = max(used.quantity - included, Decimal(0))
    return [_usage(f"metric:{metric.key}", f"{name}{beyond}", rated_whole, billable)]


def _usage(key: str, description: str, rated: Rated, quantity: Decimal | None = None) -> Charge:
    units = sum((step.units for step in rated.steps), Decimal(0))
    return Charge(
        LineKind.USAGE,
        key,
        description,
        rated.amount,
        units if quantity is None else quantity,
        rated.unit_amount,
        rated,
    )


def _of(dimension: Dimension) -> str:
    provider, model, role = dimension
    if not any(dimension):
        return ", minimum or maximum spend"
    named = "/".join(part for part in (provider, model) if part)
    return "".join(f", {part.replace('_', ' ')}" for part in (named, role) if part not in ("", ANY))


def counts(metric: Metric, counted: str, metrics: Mapping[str, Metric]) -> bool:
    """Whether usage of the metric *counted* is usage of *metric* as well."""
    if metric.counts_every_event or counted == metric.key or counted in metric.counts:
        return True
    # A type that two metrics share is named after one of them.
    other = metrics.get(counted)
    return (
        other is not None
        and metric.event_type is not None
        and (other.event_type == metric.event_type)
    )


def _figure(metric: Metric, line: ClosedLine) -> Usage:
    match metric.measure:
        case Measure.TOKENS:
            amount = Decimal(line.tokens.total_input + line.tokens.output)
        case Measure.TOKENS_IN:
            amount = Decimal(line.tokens.total_input)
        case Measure.TOKENS_OUT:
            amount = Decimal(line.tokens.output)
        case Measure.QUANTITY if metric.aggregation is Aggregation.COUNT:
            amount = Decimal(line.events)
        case Measure.QUANTITY:
            amount = line.quantity
    return Usage(amount, line.events)


def _by_dimension(metric: Metric, lines: Sequence[ClosedLine]) -> dict[Dimension, Usage]:
    found: dict[Dimension, Usage] = {}
    for line in lines:
        for role, amount in _roles(metric, line).items():
            if amount:
                key = (line.provider, line.model, role)
                found[key] = found.get(key, Usage()) + Usage(Decimal(amount), line.events)
    return found


def _roles(metric: Metric, line: ClosedLine) -> dict[str, Decimal | int]:
    if metric.measure not in _TOKENS:
        return {"": _figure(metric, line).quantity}
    tokens = line.tokens
    read = {
        "input": tokens.input,
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
    }
    written = {"output": tokens.output}
    match metric.measure:
        case Measure.TOKENS_IN:
            return dict(read)
        case Measure.TOKENS_OUT:
            return dict(written)
        case _:
            return {**read, **written}


def _costs(lines: Sequence[ClosedLine], currency: Currency) -> list[Charge]:
    """One line a model, at what its events cost that nobody has paid for."""
    by_model: dict[tuple[str, str], list[ClosedLine]] = {}
    for line in lines:
        if line.cost_usd and not line.from_credit:
            by_model.setdefault((line.provider, line.model), []).append(line)
    if by_model and currency != USD:
        raise CostsAreInDollars
    found: list[Charge] = []
    for (provider, model), used in sorted(by_model.items()):
        read = sum(line.tokens.total_input for line in used)
        written = sum(line.tokens.output for line in used)
        named = "/".join(part for part in (provider, model) if part) or "Other usage"
        with localcontext(EXACT):
            amount = sum((line.cost_usd for line in used), Decimal(0))
        found.append(
            Charge(
                LineKind.USAGE,
                f"cost:{provider}/{model}",
                f"{named}: {read:,} tokens in, {written:,} out",
                amount,
                Decimal(read + written) or None,
            )
        )
    return found
