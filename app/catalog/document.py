"""The catalog file: YAML, checked line by line, and its translation into the words of `domain`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from pydantic import (
    ValidationError,
)

from app.catalog import domain
from app.catalog.errors import CatalogFileWrong
from app.catalog.parts import (
    CatalogPart,
    FlatPart,
    GraduatedPart,
    MetricPart,
    PackagePart,
    PercentagePart,
    PerUnitPart,
    PlanPart,
    UsagePricePart,
    VolumePart,
)
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.money import USD, Currency, Money

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True, slots=True)
class StripePriceIds:
    """Stripe's price ids from the environment: by `plan` or `plan:year`, and by metered metric."""

    plans: Mapping[str, str] = field(default_factory=dict)
    metered: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A valid file, its canonical JSON and the hash of that."""

    part: CatalogPart
    document: dict[str, Any]
    content_hash: str

    @property
    def name(self) -> str:
        return self.part.name

    @classmethod
    def of(cls, part: CatalogPart) -> CatalogFile:
        document = part.model_dump(mode="json")
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return cls(part, document, hashlib.sha256(canonical.encode()).hexdigest())

    @classmethod
    def stored(cls, document: dict[str, Any]) -> CatalogFile:
        """Read back what the database kept."""
        return cls.of(CatalogPart.model_validate(document))


def read_catalog(source: str) -> CatalogFile:
    """The preset called *source*, or the file at that path. Raises `CatalogFileWrong`."""
    path = PRESETS / f"{source}.yaml" if source.isidentifier() else Path(source)
    if not path.is_file():
        presets = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.yaml")))
        raise CatalogFileWrong(
            f"ARAGORA_CATALOG: {source!r} is neither a preset ({presets}) nor a file"
        )
    return parse_catalog(path.read_text(encoding="utf-8"), str(path))


def parse_catalog(text: str, name: str) -> CatalogFile:
    """A catalog from its YAML text. Raises `CatalogFileWrong` with every fault and its line."""
    try:
        node = yaml.compose(text, Loader=_ExactLoader)
        if not isinstance(node, yaml.MappingNode):
            raise CatalogFileWrong(f"{name}, line 1: a catalog is a mapping")
        _refuse_repeated_keys(node, name)
        # _ExactLoader is a safe loader that reads 0.1 as a Decimal.
        values = yaml.load(text, Loader=_ExactLoader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not YAML"
        raise CatalogFileWrong(f"{name}, line {line}: {problem}") from None
    try:
        part = CatalogPart.model_validate(values)
    except ValidationError as error:
        faults = [
            f"{name}, line {_line(node, fault['loc'])}: "
            f"{'.'.join(str(item) for item in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise CatalogFileWrong("\n".join(faults)) from None
    faults = [
        f"{name}, line {_line(node, where)}: {'.'.join(str(item) for item in where)}: {what}"
        for where, what in _contradictions(part)
    ]
    if faults:
        raise CatalogFileWrong("\n".join(faults))
    return CatalogFile.of(part)


def _contradictions(part: CatalogPart) -> list[tuple[tuple[str | int, ...], str]]:
    """What is well-formed and still cannot be: names that nothing in the file answers to."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    keys = [plan.key for plan in part.plans]
    types: dict[str, str] = {}
    for key, metric in part.metrics.items():
        if metric.event is not None and types.setdefault(metric.event, key) != key:
            found.append((("metrics", key, "event"), f"{types[metric.event]} has this event too"))
        for index, other in enumerate(metric.counts if isinstance(metric.counts, list) else ()):
            if other not in part.metrics or other == key:
                found.append((("metrics", key, "counts", index), f"{other} is no other metric"))
        if metric.counts == "every_event" and metric.measure is domain.Measure.QUANTITY:
            found.append((("metrics", key), "what counts every event measures tokens"))
        if (metric.aggregation is domain.Aggregation.UNIQUE) != (metric.unique_field is not None):
            found.append((("metrics", key), "unique_field goes with aggregation: unique"))
    if part.default_plan is not None and part.default_plan not in keys:
        found.append((("default_plan",), f"there is no plan {part.default_plan}"))
    for index, plan in enumerate(part.plans):
        if keys.index(plan.key) != index:
            found.append((("plans", index, "key"), f"two plans are called {plan.key}"))
        found += [
            (("plans", index, "limits", metric), f"there is no metric {metric}")
            for metric in plan.limits
            if metric not in part.metrics
        ]
        found += [
            (("plans", index, "metered", position, "metric"), f"there is no metric {item.metric}")
            for position, item in enumerate(plan.metered)
            if item.metric not in part.metrics
        ]
        found += [
            (("plans", index, "metered", position, "price"), "a price rates what adds up")
            for position, item in enumerate(plan.metered)
            if item.price is not None
            and item.metric in part.metrics
            and part.metrics[item.metric].aggregation not in _ADDS_UP
        ]
        found += [
            (
                ("plans", index, "metered", position, "dimensions"),
                f"the limit of {item.metric} includes units, and dimensions do not say whose",
            )
            for position, item in enumerate(plan.metered)
            if item.dimensions and _includes_units(plan, item.metric)
        ]
        if plan.draws_on_credit:
            found += _twice_paid(part, index, plan)
    return found


def _includes_units(plan: PlanPart, metric: str) -> bool:
    limit = plan.limits.get(metric)
    return limit is not None and limit.policy is LimitPolicy.OVERAGE and bool(limit.limit)


def _twice_paid(
    part: CatalogPart, index: int, plan: PlanPart
) -> list[tuple[tuple[str | int, ...], str]]:
    """What a plan that draws on credit cannot have: costs are in USD, and tokens are paid once."""
    found: list[tuple[tuple[str | int, ...], str]] = []
    if part.currency != str(USD):
        found.append((("plans", index, "draws_on_credit"), "credit for costs is in usd"))
    found += [
        (("plans", index, "metered", position), "tokens are paid from credit in this plan")
        for position, item in enumerate(plan.metered)
        if item.metric in part.metrics
        and part.metrics[item.metric].measure is not domain.Measure.QUANTITY
    ]
    return found


_ADDS_UP = {domain.Aggregation.SUM, domain.Aggregation.COUNT}


def catalog_of(file: CatalogFile, price_ids: StripePriceIds) -> domain.Catalog:
    """The catalog as the rest of the service knows it, with Stripe's price ids filled in."""
    part = file.part
    currency = Currency(part.currency)
    return domain.Catalog(
        id=UUID(hex=file.content_hash[:32]),
        name=part.name,
        window=part.window,
        default_plan_key=part.default_plan,
        metrics={key: _metric(key, metric) for key, metric in part.metrics.items()},
        plans=tuple(_plan(plan, rank, currency, price_ids) for rank, plan in enumerate(part.plans)),
        currency=currency,
        content_hash=file.content_hash,
    )


def _metric(key: str, part: MetricPart) -> domain.Metric:
    everything = part.counts == "every_event"
    return domain.Metric(
        key=key,
        aggregation=part.aggregation,
        unit=part.unit,
        measure=part.measure,
        event_type=part.event,
        counts=() if isinstance(part.counts, str) else tuple(part.counts),
        counts_every_event=everything,
        unique_field=part.unique_field,
    )


def _plan(part: PlanPart, rank: int, currency: Currency, price_ids: StripePriceIds) -> domain.Plan:
    def stripe_price(interval: domain.Interval) -> str | None:
        suffix = ":year" if interval is domain.Interval.YEAR else ""
        return price_ids.plans.get(part.key + suffix)

    prices = tuple(
        domain.PlanPrice(
            None if price.amount is None else Money(price.amount, currency),
            price.interval,
            price.stripe_price_id or stripe_price(price.interval),
        )
        for price in part.prices
    )
    return domain.Plan(
        key=part.key,
        name=part.name,
        description=part.description,
        rank=rank,
        prices=prices,
        seat_limit=part.seats,
        limits={key: MetricLimit(item.limit, item.policy) for key, item in part.limits.items()},
        features=frozenset(part.features),
        metered=tuple(
            domain.MeteredPrice(
                item.metric,
                _usage_price(item.price),
                item.stripe_price_id or price_ids.metered.get(item.metric),
                item.included or Decimal(0),
                item.minimum_spend,
                item.maximum_spend,
                tuple(
                    domain.DimensionPrice(one.model, one.role, _price(one.price))
                    for one in item.dimensions
                ),
            )
            for item in part.metered
        ),
        trial_days=part.trial_days,
        commitment=part.commitment,
        draws_on_credit=part.draws_on_credit,
    )


def _usage_price(part: UsagePricePart | None) -> domain.UsagePrice | None:
    return None if part is None else _price(part)


def _price(part: UsagePricePart) -> domain.UsagePrice:
    match part:
        case FlatPart():
            return domain.FlatPrice(part.amount)
        case PerUnitPart():
            return domain.PerUnitPrice(part.unit_amount)
        case PackagePart():
            return domain.PackagePrice(part.amount, part.size, part.free_units)
        case PercentagePart():
            return domain.PercentagePrice(
                part.rate, part.fixed_per_event, part.free_events, part.free_amount
            )
        case GraduatedPart() | VolumePart():
            tiers = tuple(
                domain.Tier(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in part.tiers
            )
            kind = domain.GraduatedPrice if part.model == "graduated" else domain.VolumePrice
            return kind(tiers, part.flat_at_zero)


class _ExactLoader(yaml.CSafeLoader):
    """Reads what YAML calls a float as the decimal that is written there."""


def _decimal(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(loader.construct_scalar(node))


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise CatalogFileWrong(f"{name}, line {line}: {key.value} stands here twice")
            seen.add(key.value)
            _refuse_repeated_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, name)


def _line(node: yaml.Node, location: tuple[str | int, ...]) -> int:
    """The line of the deepest part of *location* that the file has."""
    line: int = node.start_mark.line
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                break
            node = node.value[part]
            line = node.start_mark.line
    return line + 1
