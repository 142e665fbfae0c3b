"""Reading usage: events, summaries, timeseries, quotas, breakdowns. Sums come from rollups; only
the ends of a stretch that cut an hour or a day are added up from the events."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from app.catalog.domain import Aggregation, Catalog, Measure, Metric, PerUnitPrice
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.ids import MalformedId, OrganizationId, decode_id
from app.kernel.pages import Page, PageRequest
from app.kernel.periods import Period, calendar_month
from app.usage.domain import (
    Credits,
    Dashboard,
    EventFilter,
    Figures,
    Meters,
    Point,
    Quota,
    Summary,
    instant_of,
    sums_by,
)
from app.usage.errors import EventNotFound, FinerThanKept, PeriodTurnedAround, UnknownMetric
from app.usage.kept import DAY, hours_kept_from, whole_as_kept, widened, widened_as_kept
from app.usage.models import UsageEvent
from app.usage.repository.reading import DIMENSIONS, UsageRepository
from app.usage.service.archive import ArchivedMonths
from app.usage.service.standing import Standings
from app.usage.service.submission import key_hash
from app.usage.service.tenants import Tenant, Tenants

CREDITS = "credits"

_MILLISECOND = timedelta(milliseconds=1)
_UNLIMITED = MetricLimit(None, LimitPolicy.SOFT)
_THOUSAND = Decimal(1000)


class UsageService:
    """Answers about one organization's usage. Nothing here changes anything."""

    def __init__(
        self,
        work: UnitOfWork,
        usage: UsageRepository,
        tenants: Tenants,
        standings: Standings,
        catalogs: CatalogService,
        archived: ArchivedMonths,
        clock: Clock,
    ) -> None:
        self._work = work
        self._usage = usage
        self._tenants = tenants
        self._standings = standings
        self._catalogs = catalogs
        self._archived = archived
        self._clock = clock
        self._meters = Meters(catalogs.active)

    async def get(self, organization_id: OrganizationId, name: str) -> UsageEvent:
        """An event by the caller's id or by ours (`evt_…`).

        Raises `EventNotFound`, or `EventArchived` for any event of a month that was archived.
        """
        async with self._work.begin(organization_id):
            event_id = await self._usage.find_id(organization_id, key_hash(name))
            if event_id is None:
                event_id = _own_id(name)
            event = await self._usage.find(organization_id, event_id) if event_id else None
            if event is None:
                if event_id is not None:
                    happened = instant_of(event_id)
                    await self._archived.refuse(happened, happened + _MILLISECOND)
                raise EventNotFound
            return event

    async def list_for_organization(
        self, organization_id: OrganizationId, shown: EventFilter, request: PageRequest
    ) -> Page[UsageEvent]:
        """Events as they are kept. Raises `EventArchived` if it is asked for older ones."""
        async with self._work.begin(organization_id):
            if shown.since is not None:
                await self._archived.refuse(shown.since, shown.until or self._clock.now())
            return await self._usage.list_for_organization(organization_id, shown, request)

    async def summary(
        self, organization_id: OrganizationId, since: datetime | None, until: datetime | None
    ) -> Summary:
        """What was used in `[since, until)`; without them, in the current window."""
        async with self._work.begin(organization_id):
            period = await self.period(organization_id, since, until)
            rows = await self.rows(organization_id, period)
        return Summary(
            period=period,
            total=sum((row[3] for row in rows), Figures()),
            by_type=sums_by([(row[0], row[3]) for row in rows]),
            by_provider=sums_by([(row[1], row[3]) for row in rows if row[1]]),
            by_model=sums_by([(row[2], row[3]) for row in rows if row[2]]),
        )

    async def timeseries(
        self,
        organization_id: OrganizationId,
        since: datetime | None,
        until: datetime | None,
        granularity: str,
        group_by: str | None,
    ) -> tuple[Period, list[Point]]:
        """Sums by bucket, oldest first; empty buckets are left out.

        The stretch is widened to whole hours, and to whole days where or for what only those are
        kept. Raises `FinerThanKept` for hours of days that have been folded.
        """
        async with self._work.begin(organization_id):
            period = await self.period(organization_id, since, until)
            by_day = group_by in DIMENSIONS and granularity != "hour"
            now = self._clock.now()
            if granularity == "hour" and period.start < hours_kept_from(now):
                raise FinerThanKept(kept_from=hours_kept_from(now))
            period = widened(period, DAY) if by_day else widened_as_kept(period, now)
            if group_by in DIMENSIONS:
                named = (
                    await self._usage.day_buckets(
                        organization_id,
                        group_by,
                        period.start.date(),
                        period.end.date(),
                        granularity,
                    )
                    if by_day
                    else await self._usage.raw_by(
                        organization_id, group_by, period.start, period.end
                    )
                )
            else:
                place = {None: None, "type": 1, "provider": 2, "model": 3}[group_by]
                rows = await self._usage.buckets(
                    organization_id, period.start, period.end, granularity
                )
                named = [(row[0], "" if place is None else str(row[place]), row[4]) for row in rows]
        points: dict[tuple[datetime, str], Figures] = {}
        for start, name, figures in named:
            points[start, name] = points.get((start, name), Figures()) + figures
        return period, [
            Point(start, name if group_by is not None else None, figures)
            for (start, name), figures in sorted(points.items())
        ]

    async def quotas(self, organization_id: OrganizationId) -> list[Quota]:
        """Where the organization stands with every metric of the catalog, now."""
        standing = await self._standings.of(organization_id)
        tokens = standing.tokens
        if tokens is None and self._reads_rollups:
            async with self._work.begin(organization_id):
                rows = await self.rows(organization_id, standing.window)
            total = sum((row[3] for row in rows), Figures())
            tokens = (total.tokens_in, total.tokens_out)
        found: list[Quota] = []
        for metric in self._catalogs.active.metrics.values():
            limit = standing.tenant.limits.get(metric.key, _UNLIMITED)
            used, held = standing.of(metric.key)
            if metric.counts_every_event and metric.key not in standing.counters:
                used = _measured(metric.measure, tokens or (0, 0))
            found.append(
                Quota(
                    metric.key,
                    limit.limit,
                    limit.policy,
                    used,
                    held,
                    standing.window,
                    metric.aggregation,
                )
            )
        return found

    async def quota(self, organization_id: OrganizationId, metric: str) -> Quota:
        """Where it stands with one metric, by its name or its event type. Raises `UnknownMetric`."""
        catalog = self._catalogs.active
        if metric not in catalog.metrics:
            metric = next(
                (key for key, item in catalog.metrics.items() if item.event_type == metric), metric
            )
        for quota in await self.quotas(organization_id):
            if quota.metric == metric:
                return quota
        raise UnknownMetric(metric=metric)

    async def used(self, organization_id: OrganizationId, metric: str) -> tuple[Decimal, Decimal]:
        """Used and held of a metric in the current window."""
        return (await self._standings.of(organization_id)).of(metric)

    async def dashboard(self, organization_id: OrganizationId) -> Dashboard:
        """Today, this month, every quota, and the credits of plans that have them."""
        now = self._clock.now()
        today = datetime.combine(now.date(), time(), UTC)
        month = calendar_month(now)
        tenant = await self._tenants.current(organization_id)
        quotas = await self.quotas(organization_id)
        async with self._work.begin(organization_id):
            day_rows = await self.rows(organization_id, Period(today, today + DAY))
            month_rows = await self.rows(organization_id, month)
        return Dashboard(
            tier=tenant.plan,
            period=tenant.windows.at(now),
            today=self._by_type([(row[0], row[3]) for row in day_rows]),
            month=self._by_type([(row[0], row[3]) for row in month_rows]),
            quotas=quotas,
            credits=_credits(self._catalogs.active, tenant, quotas),
        )

    async def feature(
        self, organization_id: OrganizationId, feature: str
    ) -> tuple[bool, str, str | None]:
        """Whether the plan has *feature*, which plan that is, and which one would have it."""
        tenant = await self._tenants.current(organization_id)
        allowed = feature in tenant.features
        upgrade = self._catalogs.active.upgrade_for_feature(feature, tenant.plan)
        return allowed, tenant.plan, None if allowed else upgrade

    @property
    def _reads_rollups(self) -> bool:
        return any(item.counts_every_event for item in self._catalogs.active.metrics.values())

    def _by_type(self, rows: list[tuple[str, Figures]]) -> dict[str, Decimal]:
        """What each type of event measures: tokens of `tokens`, quantities of most others."""
        sums = sums_by(rows)
        found = {name: figures.quantity for name, figures in sums.items()}
        for key, name in self._meters.event_type_of.items():
            metric = self._catalogs.active.metrics[key]
            found[name] = _figure(metric, sums.get(name, Figures()))
        return found

    async def period(
        self, organization_id: OrganizationId, since: datetime | None, until: datetime | None
    ) -> Period:
        if since is None or until is None:
            tenant = await self._tenants.current(organization_id)
            window = tenant.windows.at(self._clock.now())
            since, until = since or window.start, until or window.end
        if since >= until:
            raise PeriodTurnedAround
        return Period(since, until)

    async def rows(
        self, organization_id: OrganizationId, period: Period
    ) -> list[tuple[str, str, str, Figures]]:
        stretches, ends = whole_as_kept(period, self._clock.now())
        rows: list[tuple[str, str, str, Figures]] = []
        for each in stretches:
            rows += await self._usage.hours(organization_id, each.start, each.end)
        for end in ends:
            await self._archived.refuse(end.start, end.end)
            rows += await self._usage.raw(organization_id, end.start, end.end)
        return rows


def _own_id(name: str) -> UUID | None:
    try:
        return decode_id("evt", name)
    except MalformedId:
        return None


def _measured(measure: Measure, tokens: tuple[int, int]) -> Decimal:
    match measure:
        case Measure.TOKENS_IN:
            return Decimal(tokens[0])
        case Measure.TOKENS_OUT:
            return Decimal(tokens[1])
        case _:
            return Decimal(sum(tokens))


def _figure(metric: Metric, figures: Figures) -> Decimal:
    if metric.aggregation is Aggregation.COUNT:
        return Decimal(figures.events)
    if metric.measure is Measure.QUANTITY:
        return figures.quantity
    return _measured(metric.measure, (figures.tokens_in, figures.tokens_out))


def _credits(catalog: Catalog, tenant: Tenant, quotas: list[Quota]) -> Credits | None:
    quota = next((quota for quota in quotas if quota.metric == CREDITS), None)
    if quota is None:
        return None
    plan = catalog.plan(tenant.plan)
    price = next(
        (item.price for item in (plan.metered if plan else ()) if item.metric == CREDITS), None
    )
    unit = price.unit_amount if isinstance(price, PerUnitPrice) else None
    return Credits(
        included=quota.limit,
        used=quota.used,
        remaining=quota.remaining,
        overage=quota.overage,
        overage_cost=quota.overage * unit if unit is not None else Decimal(0),
        price_per_1k=unit * _THOUSAND if unit is not None else None,
    )
