"""The statistics of insights: a forecast, what stands out, and what recurs. Pure.

Plain methods that fit on a page, in floats: what they give is an estimate and is shown as one.
Amounts that are owed never pass through here. Rivals: statsmodels costs a second of import and
150 MB in every process for a few percent of accuracy; a larger model would explain itself worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean, median

from app.budgets.domain import Budget

WEEK = 7

SHORTEST = 7
"""Days of history below which nothing is forecast."""

CONFIDENCE = 0.8
_Z = 1.2816
"""So many standard deviations on either side hold eight of ten."""

FLAG = 3.5
CRITICAL = 7.0
"""How many robust standard deviations stand out (Iglewicz and Hoaglin), and stand out far."""

_MAD = 1.4826
_LEAST_SPREAD = 0.05
"""Of what was expected: a series that hardly varies does not make a percent an anomaly."""

_SAME_WEEKDAYS = 4
_TRAILING = 28


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the bounds that hold it in eight of ten cases."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Projection:
    """What is to come: step by step, and all of it together."""

    steps: Sequence[Interval]
    total: Interval
    method: str


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day that cost far more, or far less, than days before it suggest."""

    day: date
    cost: float
    expected: float
    score: float

    @property
    def is_spike(self) -> bool:
        return self.score > 0

    @property
    def severity(self) -> str:
        return "critical" if abs(self.score) >= CRITICAL else "warning"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a budget of the whole organization will stand when its period ends."""

    budget: Budget
    until: date
    projected: float

    @property
    def will_exceed(self) -> bool:
        return self.projected > float(self.budget.terms.amount_usd)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the days to come will cost; without a projection, the history is too short."""

    first: date
    days_ahead: int
    history_days: int
    unpriced_events: int
    projection: Projection | None
    outlooks: Sequence[Outlook]


@dataclass(frozen=True, slots=True)
class Found:
    """A day of a series that stands out; `name` is of the dimension that was asked for."""

    name: str | None
    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Patterns:
    """What recurs in the last weeks: mean costs of weekdays and hours, and how they change."""

    history_days: int
    by_weekday: Sequence[float | None]
    by_hour: Sequence[float]
    weekly_share: float | None
    change: float | None


def project(values: Sequence[float], horizon: int, period: int = WEEK) -> Projection | None:
    """The next *horizon* values; `None` for too short a history.

    The theta method (Assimakopoulos and Nikolopoulos, 2000): the season is taken out, what is
    left is smoothed exponentially and carried on along half of its trend. Without two whole
    periods there is no season, and the mean goes on. Costs are not below zero, nor forecasts.
    """
    if len(values) < SHORTEST:
        return None
    if len(values) < 2 * period:
        return _flat(values, horizon)
    season = _season(values, period)
    rest = [value - season[index % period] for index, value in enumerate(values)]
    slope = _slope(rest)
    alpha, level, deviation = _smoothed(rest)
    carried = (1 - (1 - alpha) ** len(rest)) / alpha
    steps: list[Interval] = []
    for step in range(1, horizon + 1):
        estimate = (
            level + slope / 2 * (step - 1 + carried) + season[(len(rest) + step - 1) % period]
        )
        margin = _Z * deviation * math.sqrt(1 + (step - 1) * alpha**2)
        steps.append(_interval(estimate, margin))
    # An error of the level stays, so errors of the steps add up rather than cancel.
    variance = sum((1 + alpha * left) ** 2 for left in range(horizon))
    total = sum(step.estimate for step in steps)
    return Projection(steps, _interval(total, _Z * deviation * math.sqrt(variance)), "theta")


def find_anomalies(first: date, values: Sequence[float], since: date) -> list[Anomaly]:
    """Days from *since* on that stand out from the days before them, oldest first.

    What is expected of a day is the median of the same weekday in the last four weeks, of the
    last days where there are not three of those. The yardstick is the median absolute deviation
    of the days before from what was expected of them. A day that stood out is no yardstick.
    """
    found: list[Anomaly] = []
    residuals: list[float] = []
    for index, value in enumerate(values):
        before = values[max(0, index - _TRAILING) : index]
        if len(before) < SHORTEST:
            continue
        alike = before[::-1][WEEK - 1 :: WEEK][:_SAME_WEEKDAYS]
        expected = median(alike) if len(alike) >= 3 else median(before)
        if len(residuals) >= SHORTEST:
            recent = [abs(each) for each in residuals[-_TRAILING:]]
            spread = max(_MAD * median(recent), _LEAST_SPREAD * expected, 1e-9)
            score = (value - expected) / spread
            if abs(score) >= FLAG:
                day = first + timedelta(days=index)
                if day >= since:
                    found.append(Anomaly(day, value, expected, score))
                continue
        residuals.append(value - expected)
    return found


def seasonality(values: Sequence[float], period: int = WEEK) -> float | None:
    """How much of the variation recurs each period, from 0 to 1; `None` for too short a history."""
    if len(values) < 2 * period:
        return None
    mean = fmean(values)
    season = _season(values, period)
    whole = sum((value - mean) ** 2 for value in values)
    left = sum((value - mean - season[i % period]) ** 2 for i, value in enumerate(values))
    return max(0.0, 1 - left / whole) if whole > 0 else 0.0


def change(values: Sequence[float], span: int = _TRAILING) -> float | None:
    """By what share the last *span* values are more than as many before them."""
    if len(values) < 2 * span:
        return None
    before = sum(values[-2 * span : -span])
    return sum(values[-span:]) / before - 1 if before > 0 else None


def _flat(values: Sequence[float], horizon: int) -> Projection:
    mean = fmean(values)
    deviation = math.sqrt(sum((each - mean) ** 2 for each in values) / (len(values) - 1))
    # The mean itself is uncertain, and its error is the same on every day.
    own, shared = deviation**2, deviation**2 / len(values)
    steps = [_interval(mean, _Z * math.sqrt(own + shared))] * horizon
    margin = _Z * math.sqrt(horizon * own + horizon**2 * shared)
    return Projection(steps, _interval(mean * horizon, margin), "mean")


def _interval(estimate: float, margin: float) -> Interval:
    return Interval(max(estimate, 0.0), max(estimate - margin, 0.0), max(estimate + margin, 0.0))


def _season(values: Sequence[float], period: int) -> list[float]:
    """What recurs: means of the differences from a centred moving average, adding up to nothing."""
    half = period // 2
    apart: list[list[float]] = [[] for _ in range(period)]
    for index in range(half, len(values) - half):
        around = values[index - half : index + half + 1]
        trend = fmean(around)
        if period % 2 == 0:
            trend = (sum(around) - (around[0] + around[-1]) / 2) / period
        apart[index % period].append(values[index] - trend)
    season = [fmean(each) if each else 0.0 for each in apart]
    middle = fmean(season)
    return [each - middle for each in season]


def _slope(values: Sequence[float]) -> float:
    middle, mean = (len(values) - 1) / 2, fmean(values)
    across = sum((index - middle) * (value - mean) for index, value in enumerate(values))
    return across / sum((index - middle) ** 2 for index in range(len(values)))


def _smoothed(values: Sequence[float]) -> tuple[float, float, float]:
    """The smoothing that erred least one step ahead: its weight, its last level, its deviation."""
    best = (math.inf, 0.1, values[0])
    for weight in range(1, 20):
        alpha, level, error = weight / 20, fmean(values[:WEEK]), 0.0
        for value in values:
            error += (value - level) ** 2
            level += alpha * (value - level)
        best = min(best, (error, alpha, level))
    error, alpha, level = best
    return alpha, level, math.sqrt(error / len(values))
