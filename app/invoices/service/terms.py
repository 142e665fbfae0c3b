"""What of an organization's window is billed by us."""

from __future__ import annotations

from datetime import datetime

from app.catalog.domain import Catalog, Interval, Plan
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import bills_usage
from app.invoices.service.rating import Terms
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.organizations.domain import Held, HeldWindow
from app.organizations.service.held import HeldPlans
from app.subscriptions.service.coverage import Coverage, SubscriptionCoverage


class WindowTerms:
    """A plan's fee is ours where no subscription at Stripe bills it; its usage where the catalog
    has a price of ours for it, or tokens that nobody has a price for."""

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
            catalog, plan = await self._plan(held, window)
        return Terms(
            period=window.period,
            plan=window.plan,
            catalog_version=catalog.id,
            with_fee=plan is not None and _with_fee(plan, held, window, coverage),
            at_cost=plan is None or not plan.metered,
        )

    async def running(self, organization_id: OrganizationId, now: datetime) -> Terms | None:
        """The window that counts at *now*, as the run will bill it. Joins the unit around it."""
        async with self._work.begin(organization_id):
            held = await self._held.of(organization_id)
            coverage = await self._coverage.of([organization_id])
            window = HeldWindow(held.windows.at(now), held.organization.entitlements.plan)
            return await self.due(held, window, coverage)

    async def due(self, held: Held, window: HeldWindow, coverage: Coverage) -> Terms | None:
        """As the plan says; None where all of it is somebody else's to bill."""
        catalog, plan = await self._plan(held, window)
        if plan is None:
            return None
        with_fee = _with_fee(plan, held, window, coverage)
        if not with_fee and not bills_usage(plan):
            return None
        return Terms(window.period, window.plan, catalog.id, with_fee, at_cost=False)

    async def _plan(self, held: Held, window: HeldWindow) -> tuple[Catalog, Plan | None]:
        """The plan as it was bought; as it is sold now, where that is not known any more."""
        version = held.organization.entitlements.catalog_version
        bought = await self._catalogs.version(version) if version is not None else None
        if bought is not None and (plan := bought.plan(window.plan)) is not None:
            return bought, plan
        active = self._catalogs.active
        return active, active.plan(window.plan)


def _with_fee(plan: Plan, held: Held, window: HeldWindow, coverage: Coverage) -> bool:
    return _has_fee(plan) and not coverage.covers(held.organization.id, window.period)


def _has_fee(plan: Plan) -> bool:
    price = plan.price(Interval.MONTH)
    return price is not None and bool(price.money)
