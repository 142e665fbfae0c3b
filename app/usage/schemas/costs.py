"""Cost reports on the wire; decimal strings in USD, null where nothing has a price yet."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal
from uuid import UUID

from app.infra.http.schemas import DecimalString, Instant, OutputModel
from app.kernel.ids import encode_id
from app.usage.domain import Figures
from app.usage.reports import Breakdown, CostReport, Latency, Names, UnpricedModel
from app.usage.schemas.usage import FiguresOut, PeriodOut, PointOut

Granularity = Literal["hourly", "daily", "weekly", "monthly"]
GroupBy = Literal[
    "type",
    "provider",
    "model",
    "agent",
    "workspace",
    "user",
    "debate",
    "request_type",
    "api_key",
]
Costs = dict[str, DecimalString | None]


class UnpricedModelOut(OutputModel):
    """A model whose usage waits for a price; its cost is in no sum."""

    provider: str
    model: str
    events: int

    @classmethod
    def from_domain(cls, waiting: UnpricedModel) -> UnpricedModelOut:
        return cls.model_validate(waiting)


class BreakdownOut(OutputModel):
    """What cost what. `total_cost_usd` is the sum of what has a price.

    Of each dimension the thousand dearest names; `left_out` counts those beyond.
    """

    period: PeriodOut
    total_cost_usd: DecimalString
    total_events: int
    unpriced_events: int
    unpriced_models: list[UnpricedModelOut]
    cost_by_provider: Costs
    cost_by_model: Costs
    cost_by_agent: Costs
    cost_by_workspace: Costs
    cost_by_user: Costs
    cost_by_debate: Costs
    cost_by_request_type: Costs
    cost_by_api_key: Costs
    left_out: dict[str, int]

    @classmethod
    def from_domain(cls, found: Breakdown) -> BreakdownOut:
        costs = {
            f"cost_by_{dimension}": {
                _name(dimension, name): figures.known_cost for name, figures in names.shown.items()
            }
            for dimension, names in found.by.items()
        }
        return cls.model_validate(
            {
                "period": PeriodOut.from_domain(found.period),
                "total_cost_usd": found.total.cost_usd,
                "total_events": found.total.events,
                "unpriced_events": found.total.unpriced,
                "unpriced_models": [UnpricedModelOut.from_domain(each) for each in found.unpriced],
                "left_out": {
                    dimension: names.count - len(names.shown)
                    for dimension, names in found.by.items()
                    if names.count > len(names.shown)
                },
                **costs,
            }
        )


class LatencyOut(OutputModel):
    """Over the latest 100,000 events of at most 31 days; `since` is the oldest that counts."""

    events: int
    since: Instant
    p50_ms: DecimalString
    p95_ms: DecimalString
    p99_ms: DecimalString

    @classmethod
    def from_domain(cls, found: Latency) -> LatencyOut:
        return cls.model_validate(found)


class TopOut(OutputModel):
    name: str
    figures: FiguresOut


class CostReportOut(OutputModel):
    """What usage cost, its course, and of what it consists. The points add up to the totals."""

    period: PeriodOut
    granularity: Granularity
    group_by: GroupBy | None
    totals: FiguresOut
    total_cost_usd: DecimalString
    unpriced_events: int
    unpriced_models: list[UnpricedModelOut]
    series: list[PointOut]
    top: dict[str, list[TopOut]]
    cached_savings_usd: DecimalString
    average_cost_per_event_usd: DecimalString | None
    average_cost_per_debate_usd: DecimalString | None
    debates: int
    latency: LatencyOut | None

    @classmethod
    def from_domain(cls, found: CostReport, most: int) -> CostReportOut:
        parts = found.breakdown
        return cls.model_validate(
            {
                "period": PeriodOut.from_domain(parts.period),
                "granularity": found.granularity,
                "group_by": found.group_by,
                "totals": FiguresOut.from_domain(parts.total),
                "total_cost_usd": parts.total.cost_usd,
                "unpriced_events": parts.total.unpriced,
                "unpriced_models": [UnpricedModelOut.from_domain(each) for each in parts.unpriced],
                "series": [
                    _point(found.group_by, PointOut.from_domain(each)) for each in found.series
                ],
                "top": {name: _top(name, names, most) for name, names in parts.by.items()},
                "cached_savings_usd": found.cached_savings_usd,
                "average_cost_per_event_usd": found.average_per_event,
                "average_cost_per_debate_usd": found.average_per_debate,
                "debates": parts.by["debate"].count,
                "latency": LatencyOut.from_domain(found.latency) if found.latency else None,
            }
        )


def _top(dimension: str, names: Names, most: int) -> list[TopOut]:
    def dearest(item: tuple[str, Figures]) -> tuple[Decimal, int, str]:
        return -item[1].cost_usd, -item[1].events, item[0]

    found: Mapping[str, Figures] = dict(sorted(names.shown.items(), key=dearest)[:most])
    return [
        TopOut(name=_name(dimension, name), figures=FiguresOut.from_domain(figures))
        for name, figures in found.items()
    ]


def _point(group_by: str | None, point: PointOut) -> PointOut:
    if group_by != "api_key" or not point.group:
        return point
    return point.model_copy(update={"group": _name(group_by, point.group)})


def _name(dimension: str, name: str) -> str:
    """Keys are kept by their bare id and shown as the API writes them."""
    return encode_id("key", UUID(name)) if dimension == "api_key" else name
