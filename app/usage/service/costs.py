"""What usage cost: breakdowns and reports, from rollups and the ends of a stretch that they cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.kernel.rates import per_million
from app.pricing.domain import PriceBook
from app.pricing.service import PriceService
from app.usage.domain import Figures, Point, sums_by
from app.usage.errors import EventArchived, FinerThanKept, StretchTooLong
from app.usage.kept import DAY, HOUR, floor, hours_kept_from, whole, whole_as_kept
from app.usage.reports import (
    DIMENSIONS,
    HOURLY_DAYS,
    LATENCY_DAYS,
    MOST_NAMES,
    Breakdown,
    CostReport,
    Latency,
    Names,
    UnpricedModel,
    bucket_of,
    in_buckets,
)
from app.usage.repository.costs import CachedTokens, CostRepository
from app.usage.repository.reading import UsageRepository
from app.usage.service.archive import ArchivedMonths
from app.usage.service.usage import UsageService

UNITS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}

_PLACES = {"type": 0, "provider": 1, "model": 2}
"""Where a group that the hours are kept by stands in a row of theirs."""

Rows = Sequence[tuple[str, str, str, Figures]]


class CostReports:
    """Answers about what one organization's usage cost. Nothing here changes anything."""

    def __init__(
        self,
        work: UnitOfWork,
        costs: CostRepository,
        usage: UsageRepository,
        reader: UsageService,
        prices: PriceService,
        archived: ArchivedMonths,
        clock: Clock,
    ) -> None:
        self._work = work
        self._costs = costs
        self._usage = usage
        self._reader = reader
        self._prices = prices
        self._archived = archived
        self._clock = clock

    async def breakdown(
        self, organization_id: OrganizationId, since: datetime | None, until: datetime | None
    ) -> Breakdown:
        """What cost what in `[since, until)`; without them, in the current window.

        Of each dimension the thousand dearest names, each with its whole sum. Raises
        `EventArchived` when the stretch cuts a day whose events have been archived.
        """
        async with self._work.begin(organization_id):
            period = await self._reader.period(organization_id, since, until)
            rows = await self._reader.rows(organization_id, period)
            days, ends = whole(period, DAY)
            for end in ends:
                await self._archived.refuse(end.start, end.end)
            names = await self._costs.names(organization_id, days, ends, MOST_NAMES)
        return Breakdown(
            period=period,
            total=sum((row[3] for row in rows), Figures()),
            by={
                "provider": _names([(row[1], row[3]) for row in rows]),
                "model": _names([(row[2], row[3]) for row in rows]),
                **{dimension: names.get(dimension, Names({})) for dimension in DIMENSIONS},
            },
            unpriced=_unpriced(rows),
        )

    async def report(
        self,
        organization_id: OrganizationId,
        since: datetime | None,
        until: datetime | None,
        granularity: str,
        group_by: str | None,
    ) -> CostReport:
        """The breakdown of `[since, until)` and its course; the points add up to the total.

        Raises `FinerThanKept` for hours of days that have been folded, and `StretchTooLong` for
        more than a month by the hour of what no rollup keeps by the hour.
        """
        unit = UNITS[granularity]
        async with self._work.begin(organization_id):
            breakdown = await self.breakdown(organization_id, since, until)
            period = breakdown.period
            series = await self._series(organization_id, period, unit, group_by)
            savings = await self._savings(organization_id, period)
            latency = await self._latency(organization_id, period)
        return CostReport(breakdown, granularity, group_by, series, savings, latency)

    async def _series(
        self, organization_id: OrganizationId, period: Period, unit: str, group_by: str | None
    ) -> list[Point]:
        now = self._clock.now()
        if unit == "hour" and period.start < hours_kept_from(now):
            raise FinerThanKept(kept_from=hours_kept_from(now))
        if group_by in DIMENSIONS:
            named = await self._course_of(organization_id, period, unit, group_by)
        else:
            named = await self._course(organization_id, period, unit, group_by)
        points: dict[tuple[datetime, str], Figures] = {}
        for start, name, figures in named:
            points[start, name] = points.get((start, name), Figures()) + figures
        return [
            Point(start, None if group_by is None else name, figures)
            for (start, name), figures in sorted(points.items())
            if figures.events
        ]

    async def _course(
        self, organization_id: OrganizationId, period: Period, unit: str, group_by: str | None
    ) -> list[tuple[datetime, str, Figures]]:
        place = None if group_by is None else _PLACES[group_by]
        stretches, ends = whole_as_kept(period, self._clock.now())
        rows: list[tuple[datetime, tuple[str, str, str], Figures]] = []
        for each in stretches:
            found = await self._usage.buckets(organization_id, each.start, each.end, unit)
            rows += [(row[0], row[1:4], row[4]) for row in found]
        for part in (part for end in ends for part in in_buckets(end, unit)):
            start = bucket_of(part.start, unit)
            events = await self._usage.raw(organization_id, part.start, part.end)
            rows += [(start, row[:3], row[3]) for row in events]
        return [
            (start, "" if place is None else names[place], figures)
            for start, names, figures in rows
        ]

    async def _course_of(
        self, organization_id: OrganizationId, period: Period, unit: str, dimension: str
    ) -> list[tuple[datetime, str, Figures]]:
        if unit == "hour":
            if period.end - period.start > timedelta(days=HOURLY_DAYS):
                raise StretchTooLong(days=HOURLY_DAYS)
            days, ends = None, [period]
        else:
            days, ends = whole(period, DAY)
        named: list[tuple[datetime, str, Figures]] = []
        if days is not None:
            first, last = days.start.date(), days.end.date()
            named += await self._usage.day_buckets(organization_id, dimension, first, last, unit)
        for end in ends:
            await self._archived.refuse(end.start, end.end)
            named += await self._usage.raw_by(organization_id, dimension, end.start, end.end, unit)
        return named

    async def _savings(self, organization_id: OrganizationId, period: Period) -> Decimal:
        """What cached tokens would have cost as input, less what they cost.

        By the prices in force in each hour; of a price with steps, by the lowest.
        """
        stretches, ends = whole_as_kept(period, self._clock.now())
        cached: list[CachedTokens] = []
        for each in stretches:
            cached += await self._costs.cached_by_hour(organization_id, each.start, each.end)
        for end in ends:
            rows = await self._usage.raw(organization_id, end.start, end.end)
            cached += [(end.start, row[1], row[2], row[3].cached_tokens) for row in rows]
        book = await self._prices.refresh() if cached else self._prices.book
        return sum((_saved(book, organization_id, each) for each in cached), Decimal(0))

    async def _latency(self, organization_id: OrganizationId, period: Period) -> Latency | None:
        end = min(period.end, floor(self._clock.now(), HOUR) + DAY)
        start = max(period.start, end - timedelta(days=LATENCY_DAYS))
        if start >= end:
            return None
        try:
            await self._archived.refuse(start, end)
        except EventArchived:
            return None
        return await self._costs.latency(organization_id, start, end)


def _names(rows: Sequence[tuple[str, Figures]]) -> Names:
    found = sums_by([row for row in rows if row[0] and row[1].events])
    total = sum((figures.cost_usd for figures in found.values()), Decimal(0))
    return Names(found, len(found), total)


def _unpriced(rows: Rows) -> list[UnpricedModel]:
    waiting: dict[tuple[str, str], int] = {}
    for _, provider, model, figures in rows:
        if figures.unpriced:
            waiting[provider, model] = waiting.get((provider, model), 0) + figures.unpriced
    return [UnpricedModel(*name, events) for name, events in sorted(waiting.items())]


def _saved(book: PriceBook, organization_id: OrganizationId, cached: CachedTokens) -> Decimal:
    at, provider, model, tokens = cached
    quote = book.quote(organization_id, provider, model, at) if tokens and model else None
    if quote is None or quote.input is None or quote.cache_read is None:
        return Decimal(0)
    return per_million(tokens, quote.input.per_million - quote.cache_read.per_million)
