"""What a window comes to now, and what earlier windows have come to since they were billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from app.catalog.domain import Catalog, Plan
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import (
    Charge,
    CostsAreInDollars,
    GivenPart,
    LineKind,
    UnitsOfNobody,
    as_ours,
    charges_of,
    digest_of,
    fee_of_window,
    given_fees,
)
from app.invoices.errors import NotYetIssuable, PlanCannotBeRated
from app.invoices.models import BilledWindow
from app.invoices.repository.own import Billed, OwnInvoiceRepository
from app.invoices.service.given import parts_of, plan_of
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.periods import Period
from app.subscriptions.given import without
from app.subscriptions.service.coverage import Coverage, SubscriptionCoverage
from app.usage.closed import ClosedLine, ClosedUsage
from app.usage.service.closing import UsageClosing

ADJUSTED_FOR = timedelta(days=400)
"""For how long after its end a billed window is looked at again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which plan a window is billed, and what of it by us."""

    period: Period
    plan: str
    """What counted where no plan was given."""
    catalog_version: UUID | None
    with_fee: bool
    at_cost: bool
    coverage: Coverage | None = None
    """What was given and what subscriptions cover, where the caller has read it."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """A line to be: rounded once, here."""

    kind: LineKind
    key: str
    description: str
    amount: Money
    period: Period
    charge: Charge | None = None
    """None for an adjustment, which is the difference of two amounts."""

    @property
    def shown(self) -> Period:
        """What it says it is for; `period` is the window that it belongs to."""
        part = self.charge.period if self.charge is not None else None
        return part or self.period

    @property
    def is_proration(self) -> bool:
        share = self.charge.share if self.charge is not None else None
        return share is not None and not share.is_whole


@dataclass(frozen=True, slots=True)
class RatedPart:
    """Usage that one plan charges for, by the stretches of time that it was read in.

    Keys of what it charges begin with `prefix`.
    """

    prefix: str
    key: str
    """Of the plan, which the catalog need not know any more."""
    plan: Plan | None
    catalog: Catalog
    at_cost: bool
    usage: tuple[ClosedUsage, ...]


@dataclass(frozen=True, slots=True)
class RatedWindow:
    """A window as it was rated: what it was rated from, and what that comes to now.

    The charges are the fees, then what each part asks for. `before` is what issued documents
    asked for already, by charge.
    """

    period: Period
    currency: Currency
    parts: tuple[RatedPart, ...]
    charges: tuple[Charge, ...]
    before: Mapping[str, Billed]


@dataclass(frozen=True, slots=True)
class Bill:
    """What a window asks for, and which windows it settles as they look now."""

    terms: Terms
    currency: Currency
    lines: tuple[BillLine, ...]
    windows: tuple[BilledWindow, ...]
    """This window, and earlier ones of which nothing was left over."""
    rated: tuple[RatedWindow, ...] = ()
    """What the lines follow from: this window first, then earlier ones that have moved."""
    given_plan: str | None = None
    """The plan that was given last in the window."""


class WindowRating:
    """Rates usage from its events. A difference to what was billed is found by rating again."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        usage: UsageClosing,
        catalogs: CatalogService,
        coverage: SubscriptionCoverage,
    ) -> None:
        self._work = work
        self._own = own
        self._usage = usage
        self._catalogs = catalogs
        self._coverage = coverage

    async def rate(
        self, organization_id: OrganizationId, terms: Terms, *, proving: bool = False
    ) -> Bill:
        """The lines of a window's invoice. Joins the unit around it.

        Adjustments follow the window's own lines, oldest window first. What is given back is at
        most what the rest asks for; the remainder stays for the invoice after that. *proving*
        brings along which events the usage is.
        Raises `UsageUnpriced`, `EventArchived`, `NotYetIssuable`, `PlanCannotBeRated`.
        """
        period = terms.period
        async with self._work.begin(organization_id):
            catalog = await self._catalog(terms.catalog_version)
            known = await self._own.windows(organization_id, period.start - ADJUSTED_FOR)
            earlier = [window for window in known if window.window_start != period.start]
            coverage = terms.coverage or await self._coverage.of([organization_id])
            given = parts_of(coverage, organization_id, period)
            first = [*without(period, (part.used for part in given)), *(one.used for one in given)]
            usage = await self._usage.figures(
                organization_id,
                first[0],
                [period, *(_period_of(window) for window in earlier)],
                proving=proving,
            )
            own_print, *prints = usage.digests
            prints = [
                print_ + digest_of(parts_of(coverage, organization_id, _period_of(window)))
                for window, print_ in zip(earlier, prints, strict=True)
            ]
            own = await self._rated(organization_id, catalog, terms, given, proving, [usage])
            moved = [
                (window, print_)
                for window, print_ in zip(earlier, prints, strict=True)
                if window.fingerprint != print_
            ]
            again = await self._again(
                organization_id, [one for one, _ in moved], coverage, proving=proving
            )
            if len(earlier) < len(known):
                # Its first invoice was voided; what later ones adjusted of it stays with them.
                own = replace(own, before=await self._before(organization_id, period.start))
        lines, cut = put_together(own, again)
        settled = [_window(terms, own_print + digest_of(given))]
        settled += [
            _window(_terms_of(window), print_)
            for window, print_ in moved
            if window.window_start not in cut
        ]
        last = given[-1].stretch.plan if given else None
        return Bill(terms, catalog.currency, lines, tuple(settled), (own, *again), last)

    async def _again(
        self,
        organization_id: OrganizationId,
        windows: list[BilledWindow],
        coverage: Coverage,
        *,
        proving: bool,
    ) -> list[RatedWindow]:
        if not windows:
            return []
        billed = await self._own.billed(
            organization_id, [window.window_start for window in windows]
        )
        found: list[RatedWindow] = []
        for window in windows:
            terms = _terms_of(window)
            catalog = await self._catalog(terms.catalog_version)
            given = parts_of(coverage, organization_id, terms.period)
            rated = await self._rated(organization_id, catalog, terms, given, proving)
            found.append(replace(rated, before=billed[window.window_start]))
        return found

    async def _rated(
        self,
        organization_id: OrganizationId,
        catalog: Catalog,
        terms: Terms,
        given: Sequence[GivenPart],
        proving: bool,
        known: Sequence[ClosedUsage] = (),
    ) -> RatedWindow:
        """What the plan beneath asks for, and what given ones do, each for its own time."""

        async def used(periods: Sequence[Period]) -> tuple[ClosedUsage, ...]:
            read = {one.period: one for one in known}
            return tuple(
                [
                    read.get(each)
                    or await self._usage.figures(organization_id, each, proving=proving)
                    for each in periods
                ]
            )

        window, plan = terms.period, catalog.plan(terms.plan)
        beneath = await used(without(window, (part.used for part in given)))
        fees = fee_of_window(plan, window) if plan is not None and terms.with_fee else []
        parts = [RatedPart("", terms.plan, plan, catalog, terms.at_cost, beneath)]
        billed: dict[str, list[GivenPart]] = {}
        for part in given:
            its_catalog = await self._catalog(part.stretch.catalog_version)
            fees += given_fees(part, plan_of(its_catalog, part), window)
            if part.bills_usage:
                billed.setdefault(part.stretch.plan, []).append(part)
        for key, mine in billed.items():
            its_catalog = await self._catalog(mine[-1].stretch.catalog_version)
            periods = [part.used for part in mine]
            ours = as_ours(plan_of(its_catalog, mine[-1]), periods, window)
            usage = await used(periods)
            parts.append(RatedPart(f"given:{key}:", key, ours, its_catalog, terms.at_cost, usage))
        charges = [charge for part in parts for charge in _of_part(part, window)]
        return RatedWindow(window, catalog.currency, tuple(parts), (*fees, *charges), {})

    async def _before(
        self, organization_id: OrganizationId, start: datetime
    ) -> Mapping[str, Billed]:
        return (await self._own.billed(organization_id, [start]))[start]

    async def _catalog(self, version: UUID | None) -> Catalog:
        if version is None:
            return self._catalogs.active
        return await self._catalogs.version(version)


def put_together(
    own: RatedWindow, again: Sequence[RatedWindow]
) -> tuple[tuple[BillLine, ...], set[object]]:
    """The lines of a window's document, and the windows of which something is left over.

    *again* are earlier windows that have moved; what documents had asked for of *own* before
    stays with those.
    """
    lines = [_line(charge, own.currency, own.period) for charge in own.charges]
    differences = [*_kept(own), *(line for one in again for line in _adjustments(one))]
    back, cut = _fitting(lines, differences, own.currency)
    return (*lines, *back), cut


def _of_part(part: RatedPart, window: Period) -> list[Charge]:
    lines = [line for usage in part.usage for line in usage.lines]
    charges = _charges(part.plan, part.catalog, lines, window, at_cost=part.at_cost)
    if not part.prefix:
        return charges
    shown = Period(part.usage[0].period.start, part.usage[-1].period.end)
    return [replace(one, key=part.prefix + one.key, period=shown) for one in charges]


def _charges(
    plan: Plan | None,
    catalog: Catalog,
    lines: Sequence[ClosedLine],
    window: Period,
    *,
    at_cost: bool,
) -> list[Charge]:
    try:
        return charges_of(plan, catalog, lines, window, with_fee=False, at_cost=at_cost)
    except CostsAreInDollars:
        raise NotYetIssuable from None
    except UnitsOfNobody as unclear:
        raise PlanCannotBeRated(**unclear.where) from None


def _line(charge: Charge, currency: Currency, period: Period) -> BillLine:
    amount = Money.from_major(charge.amount, currency)
    return BillLine(charge.kind, charge.key, charge.description, amount, period, charge)


def _terms_of(window: BilledWindow) -> Terms:
    # The fee of an earlier window does not depend on its usage.
    return Terms(_period_of(window), window.plan, window.catalog_version, False, window.at_cost)


def _period_of(window: BilledWindow) -> Period:
    return Period(window.window_start, window.window_end)


def _window(terms: Terms, fingerprint: str) -> BilledWindow:
    return BilledWindow(
        window_start=terms.period.start,
        window_end=terms.period.end,
        plan=terms.plan,
        catalog_version=terms.catalog_version,
        at_cost=terms.at_cost,
        fingerprint=fingerprint,
    )


def _kept(own: RatedWindow) -> list[BillLine]:
    return [
        BillLine(
            LineKind.ADJUSTMENT,
            key,
            f"On another invoice: {one.description}",
            Money(-one.amount, own.currency),
            own.period,
        )
        for key, one in own.before.items()
        if one.amount
    ]


def _adjustments(window: RatedWindow) -> list[BillLine]:
    now = {charge.key: charge for charge in window.charges}
    currency = window.currency
    found: list[BillLine] = []
    for key in [*now, *(key for key in window.before if key not in now)]:
        due = Money.from_major(now[key].amount, currency).minor if key in now else 0
        before = window.before.get(key)
        difference = due - (before.amount if before else 0)
        if difference:
            description = now[key].description if key in now else before.description  # type: ignore[union-attr]
            found.append(
                BillLine(
                    LineKind.ADJUSTMENT,
                    key,
                    f"Adjustment: {description.removeprefix('Adjustment: ')}",
                    Money(difference, currency),
                    window.period,
                )
            )
    return found


def _fitting(
    lines: list[BillLine], differences: list[BillLine], currency: Currency
) -> tuple[list[BillLine], set[object]]:
    """The differences that fit without the document asking for less than nothing, and the windows
    of which something is left over."""
    # A cap on what a metric costs is a line below nothing: it leaves less room.
    room = sum(line.amount.minor for line in lines)
    room = max(room + sum(max(line.amount.minor, 0) for line in differences), 0)
    found: list[BillLine] = []
    cut: set[object] = set()
    for line in differences:
        if line.amount.minor > 0:
            found.append(line)
            continue
        back = min(-line.amount.minor, room)
        room -= back
        if back < -line.amount.minor:
            cut.add(line.period.start)
        if back:
            found.append(
                BillLine(line.kind, line.key, line.description, Money(-back, currency), line.period)
            )
    return found, cut
