"""Insights on the wire. Estimates in USD, to six decimal places."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from pydantic import Field

from app.infra.http.schemas import DecimalString, OutputModel, prefixed_id
from app.insights.domain import (
    CONFIDENCE,
    SHORTEST,
    Forecast,
    Found,
    Interval,
    Outlook,
    Patterns,
)

if TYPE_CHECKING:
    BudgetId = UUID
else:
    BudgetId = prefixed_id("bud")

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ForecastDayOut(OutputModel):
    day: date
    cost_usd: DecimalString
    lower_usd: DecimalString
    upper_usd: DecimalString


class OutlookOut(OutputModel):
    """A budget of the whole organization as its period ends, or as far as the forecast goes."""

    budget_id: BudgetId
    name: str
    until: date
    amount_usd: DecimalString
    spent_usd: DecimalString
    projected_usd: DecimalString
    will_exceed: bool

    @classmethod
    def from_domain(cls, found: Outlook) -> OutlookOut:
        budget = found.budget
        return cls(
            budget_id=budget.id,
            name=budget.terms.name,
            until=found.until,
            amount_usd=budget.terms.amount_usd,
            spent_usd=budget.standing.spent,
            projected_usd=_usd(found.projected),
            will_exceed=found.will_exceed,
        )


class ForecastOut(OutputModel):
    """What days to come are likely to cost; null, with the `reason`, for too short a history."""

    from_day: date
    days_ahead: int
    projected_cost_usd: DecimalString | None
    lower_usd: DecimalString | None
    upper_usd: DecimalString | None
    confidence: float = Field(description="How often the bounds are expected to hold.")
    method: Literal["theta", "mean"] | None
    history_days: int
    unpriced_events: int = Field(description="Their cost is unknown and not in the forecast.")
    reason: str | None
    will_exceed_budget: bool | None = Field(
        description="Whether any budget of the whole organization will; null without one."
    )
    budgets: list[OutlookOut]
    days: list[ForecastDayOut]

    @classmethod
    def from_domain(cls, found: Forecast) -> ForecastOut:
        projection = found.projection
        total = _bounds(projection.total) if projection else (None, None, None)
        return cls.model_validate(
            {
                "from_day": found.first,
                "days_ahead": found.days_ahead,
                "projected_cost_usd": total[0],
                "lower_usd": total[1],
                "upper_usd": total[2],
                "confidence": CONFIDENCE,
                "method": projection.method if projection else None,
                "history_days": found.history_days,
                "unpriced_events": found.unpriced_events,
                "reason": None if projection else f"Fewer than {SHORTEST} whole days of usage.",
                "will_exceed_budget": any(each.will_exceed for each in found.outlooks)
                if found.outlooks
                else None,
                "budgets": [OutlookOut.from_domain(each) for each in found.outlooks],
                "days": [
                    _day(found.first + timedelta(days=index), step)
                    for index, step in enumerate(projection.steps if projection else ())
                ],
            }
        )


class AnomalyOut(OutputModel):
    """A day that stands out; `score` is by how many robust standard deviations."""

    day: date
    name: str | None
    kind: Literal["spike", "drop"]
    severity: Literal["warning", "critical"]
    cost_usd: DecimalString
    expected_cost_usd: DecimalString
    score: float

    @classmethod
    def from_domain(cls, found: Found) -> AnomalyOut:
        anomaly = found.anomaly
        return cls.model_validate(
            {
                "day": anomaly.day,
                "name": found.name,
                "kind": "spike" if anomaly.is_spike else "drop",
                "severity": anomaly.severity,
                "cost_usd": _usd(anomaly.cost),
                "expected_cost_usd": _usd(anomaly.expected),
                "score": round(anomaly.score, 2),
            }
        )


class AnomaliesOut(OutputModel):
    data: list[AnomalyOut]

    @classmethod
    def from_domain(cls, found: list[Found]) -> AnomaliesOut:
        return cls(data=[AnomalyOut.from_domain(each) for each in found])


class PatternsOut(OutputModel):
    """What recurs: mean costs of the last four weeks by weekday and hour (UTC)."""

    history_days: int
    mean_cost_by_weekday: dict[str, DecimalString | None]
    mean_cost_by_hour: list[DecimalString]
    busiest_weekday: str | None
    busiest_hour: int | None
    weekly_share: float | None = Field(
        description="How much of the variation recurs each week, 0 to 1; null before two weeks."
    )
    change: float | None = Field(
        description="The last four weeks beside the four before; 0.1 is 10 % more. Null before."
    )

    @classmethod
    def from_domain(cls, found: Patterns) -> PatternsOut:
        days = dict(zip(WEEKDAYS, found.by_weekday, strict=True))
        known = {name: cost for name, cost in days.items() if cost}
        return cls.model_validate(
            {
                "history_days": found.history_days,
                "mean_cost_by_weekday": {
                    name: None if cost is None else _usd(cost) for name, cost in days.items()
                },
                "mean_cost_by_hour": [_usd(cost) for cost in found.by_hour],
                "busiest_weekday": max(known, key=known.__getitem__, default=None),
                "busiest_hour": max(range(24), key=found.by_hour.__getitem__)
                if any(found.by_hour)
                else None,
                "weekly_share": None
                if found.weekly_share is None
                else round(found.weekly_share, 4),
                "change": None if found.change is None else round(found.change, 4),
            }
        )


def _day(day: date, step: Interval) -> ForecastDayOut:
    cost, lower, upper = _bounds(step)
    return ForecastDayOut(day=day, cost_usd=cost, lower_usd=lower, upper_usd=upper)


def _bounds(interval: Interval) -> tuple[Decimal, Decimal, Decimal]:
    return _usd(interval.estimate), _usd(interval.lower), _usd(interval.upper)


def _usd(estimate: float) -> Decimal:
    return Decimal(f"{estimate:.6f}")
