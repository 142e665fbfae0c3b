"""Reading the past of an organization's costs for what it suggests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import fmean

from app.budgets.domain import Budget
from app.budgets.service.budgets import BudgetService
from app.insights.domain import (
    Forecast,
    Found,
    Outlook,
    Patterns,
    change,
    find_anomalies,
    project,
    seasonality,
)
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.pages import MAX_LIMIT, PageRequest
from app.usage.kept import DAY
from app.usage.service.usage import UsageService
from app.usage.spend import SpendScope

HISTORY_DAYS = 120
"""How far back a forecast looks: a change of habit half a year ago says nothing about now."""

PATTERN_DAYS = 56
_LATELY = 28

MOST_SERIES = 20
"""Of a dimension the dearest names are searched for anomalies."""


@dataclass(frozen=True, slots=True)
class _Days:
    """Daily costs without gaps, from the first day that has any."""

    first: date
    costs: list[float]


class InsightService:
    """Estimates about one organization. Days are UTC, and today is left out: it is not over."""

    def __init__(self, usage: UsageService, budgets: BudgetService, clock: Clock) -> None:
        self._usage = usage
        self._budgets = budgets
        self._clock = clock

    async def forecast(self, organization_id: OrganizationId, days_ahead: int) -> Forecast:
        """What today and the days after it will cost, *days_ahead* of them.

        Budgets of the whole organization are looked at to the end of their running period; those
        without one, and those of longer ones, as far as the forecast goes.
        """
        today = self._today()
        series, unpriced = await self._daily(organization_id, HISTORY_DAYS, None)
        days = series.get("")
        projection = project(days.costs, days_ahead) if days else None
        outlooks = []
        if days and projection:
            request = PageRequest(MAX_LIMIT)
            page = await self._budgets.list(organization_id, request, SpendScope.ORGANIZATION)
            so_far = await self._spent(organization_id, today) if page.items else 0.0
            outlooks = [
                _outlook(budget, today.date(), days.costs, so_far, days_ahead)
                for budget in page.items
            ]
        return Forecast(
            first=today.date(),
            days_ahead=days_ahead,
            history_days=len(days.costs) if days else 0,
            unpriced_events=unpriced,
            projection=projection,
            outlooks=outlooks,
        )

    async def anomalies(
        self, organization_id: OrganizationId, days: int, group_by: str | None
    ) -> list[Found]:
        """Days of the last *days* that stand out, latest first; by the names of a dimension too."""
        series, _ = await self._daily(organization_id, days + PATTERN_DAYS, group_by)
        since = (self._today() - timedelta(days=days)).date()
        dearest = sorted(series.items(), key=lambda item: (-sum(item[1].costs), item[0]))
        found = [
            Found(None if group_by is None else name, anomaly)
            for name, each in dearest[:MOST_SERIES]
            for anomaly in find_anomalies(each.first, each.costs, since)
        ]
        return sorted(found, key=lambda each: each.anomaly.day, reverse=True)

    async def patterns(self, organization_id: OrganizationId) -> Patterns:
        """Weekdays and hours of the last four weeks, and those weeks beside the four before."""
        today = self._today()
        series, _ = await self._daily(organization_id, PATTERN_DAYS, None)
        days = series.get("", _Days(today.date(), []))
        lately = days.costs[-_LATELY:]
        start = today.date() - timedelta(days=len(lately))
        by_weekday: list[list[float]] = [[] for _ in range(7)]
        for index, cost in enumerate(lately):
            by_weekday[(start + timedelta(days=index)).weekday()].append(cost)
        by_hour = [0.0] * 24
        if lately:
            since = datetime.combine(start, time(), UTC)
            _, points = await self._usage.timeseries(organization_id, since, today, "hour", None)
            for point in points:
                by_hour[point.start.hour] += float(point.figures.cost_usd) / len(lately)
        return Patterns(
            history_days=len(days.costs),
            by_weekday=[fmean(each) if each else None for each in by_weekday],
            by_hour=by_hour,
            weekly_share=seasonality(days.costs),
            change=change(days.costs, _LATELY),
        )

    def _today(self) -> datetime:
        return datetime.combine(self._clock.now().astimezone(UTC).date(), time(), UTC)

    async def _spent(self, organization_id: OrganizationId, day: datetime) -> float:
        _, points = await self._usage.timeseries(organization_id, day, day + DAY, "day", None)
        return sum(float(point.figures.cost_usd) for point in points)

    async def _daily(
        self, organization_id: OrganizationId, back: int, group_by: str | None
    ) -> tuple[Mapping[str, _Days], int]:
        """Daily costs of the last *back* whole days by name, and how many events have no price."""
        today = self._today()
        since = today - timedelta(days=back)
        _, points = await self._usage.timeseries(organization_id, since, today, "day", group_by)
        by_name: dict[str, dict[date, float]] = {}
        for point in points:
            named = by_name.setdefault(point.group or "", {})
            named[point.start.date()] = float(point.figures.cost_usd)
        series: dict[str, _Days] = {}
        for name, costs in by_name.items():
            first = min(costs)
            count = (today.date() - first).days
            gapless = [costs.get(first + timedelta(days=index), 0.0) for index in range(count)]
            series[name] = _Days(first, gapless)
        return series, sum(point.figures.unpriced for point in points)


def _outlook(
    budget: Budget, today: date, costs: Sequence[float], so_far: float, days_ahead: int
) -> Outlook:
    """What a budget has seen, what is left of today, and the days until its period ends."""
    end = budget.standing.period_end
    days = min((end.date() - today).days, days_ahead) if end else days_ahead
    projection = project(costs, days)
    steps = [step.estimate for step in projection.steps] if projection else []
    to_come = max(steps[0] - so_far, 0.0) + sum(steps[1:]) if steps else 0.0
    return Outlook(budget, today + timedelta(days=days), float(budget.standing.spent) + to_come)
