"""What of an organization's window is billed by us."""

from __future__ import annotations

from datetime import datetime

from app.catalog.domain import Catalog, Interval, Plan
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import bills_usage
from app.invoices.service.rating import ADJUSTED_FOR, Terms
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period, calendar_month, plus_months
from app.organizations.domain import Held, HeldWindow
from app.organizations.service.held import HeldPlans
from app.subscriptions.given import open_one
from app.subscriptions.service.coverage import Coverage, SubscriptionCoverage


class WindowTerms:
    """A plan's fee is ours where no subscription at Stripe bills it; its usage where the catalog
    has a price of ours for it, or tokens that nobody has a price for. What is under a given plan
    is ours, unless it was given free."""

    def __init__(
        self,
        work: UnitOfWork,
        held: HeldPlans,
        coverage: SubscriptionCoverage,
        catalogs: CatalogService,
    ) -> None:
        self._work = work
        self._held = held
        self._coverage = coverage
        self._catalogs = catalogs

    def plans(self) -> list[str]:
        """Plans of which we may have something to bill."""
        return [
            plan.key for plan in self._catalogs.active.plans if bills_usage(plan) or _has_fee(plan)
        ]

    async def asked_for(self, organization_id: OrganizationId, month: Period) -> Terms:
        """The window of *month*, billed because an operator asked for it: what no price covers
        is billed at what it cost. Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            held = await self._held.of(organization_id)
            coverage = await self._coverage.of([organization_id])
            window = held.of_month(month)
            catalog, plan, key = await self._plan(held, window, coverage)
        return Terms(
            period=window.period,
            plan=key,
            catalog_version=catalog.id,
            with_fee=plan is not None and _with_fee(plan, held, window, coverage),
            at_cost=True,
            coverage=coverage,
        )

    async def window(self, organization_id: OrganizationId, now: datetime) -> Period:
        """The window that counts at *now*, as it is billed. Joins the unit around it."""
        async with self._work.begin(organization_id):
            return (await self._held.of(organization_id)).windows.around(now)

    async def running(
        self, organization_id: OrganizationId, now: datetime, *, after: Period | None = None
    ) -> Terms | None:
        """The window that counts at *now*, or the one *after* it, as the run will bill it.

        Joins the unit around it.
        """
        async with self._work.begin(organization_id):
            held = await self._held.of(organization_id)
            coverage = await self._coverage.of([organization_id])
            plan = held.organization.entitlements.plan
            if after is None:
                return await self.due(held, HeldWindow(held.windows.around(now), plan), coverage)
            month = calendar_month(after.end)
            if held.organization.entitlements.window is not None:
                month = Period(after.end, plus_months(after.end, 1))
            return await self.due(held, HeldWindow(month, plan), coverage)

    async def due(self, held: Held, window: HeldWindow, coverage: Coverage) -> Terms | None:
        """As the plan says; None where all of it is somebody else's to bill."""
        catalog, plan, key = await self._plan(held, window, coverage)
        with_fee = plan is not None and _with_fee(plan, held, window, coverage)
        is_ours = with_fee or (plan is not None and bills_usage(plan))
        if not is_ours and not _bills_given(held, window, coverage):
            return None
        return Terms(window.period, key, catalog.id, with_fee, at_cost=False, coverage=coverage)

    async def _plan(
        self, held: Held, window: HeldWindow, coverage: Coverage
    ) -> tuple[Catalog, Plan | None, str]:
        """The plan beneath what was given, as it was bought; as it is sold now, where that is not
        known any more."""
        key, version = window.plan, held.organization.entitlements.catalog_version
        counting = open_one(coverage.given(held.organization.id))
        if counting is not None and window not in held.past:
            key, version = counting.beneath, counting.beneath_version
        bought = await self._catalogs.version(version) if version is not None else None
        if bought is not None and (plan := bought.plan(key)) is not None:
            return bought, plan, key
        active = self._catalogs.active
        return active, active.plan(key), key


def _bills_given(held: Held, window: HeldWindow, coverage: Coverage) -> bool:
    """Whether a given plan is billed in the window, or was so lately that use of it may be news."""
    start = window.period.start - ADJUSTED_FOR
    return any(
        each.bills_anything
        and each.since < window.period.end
        and (each.until is None or each.until > start)
        for each in coverage.given(held.organization.id)
    )


def _with_fee(plan: Plan, held: Held, window: HeldWindow, coverage: Coverage) -> bool:
    return _has_fee(plan) and not coverage.covers(held.organization.id, window.period)


def _has_fee(plan: Plan) -> bool:
    price = plan.price(Interval.MONTH)
    return price is not None and bool(price.money)
