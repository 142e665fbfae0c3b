"""What operators ask."""

from __future__ import annotations

from app.admin.domain import (
    AuditRow,
    BillingStats,
    Charge,
    Counted,
    Customer,
    InvoiceRow,
    PlatformUser,
    SubscriptionRow,
    summarize,
)
from app.admin.queries import AdminQueries
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import InvoiceStatus
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.kernel.money import USD
from app.kernel.pages import Page, PageRequest


class AdminService:
    """Each answer is one snapshot of the database, so that totals fit the rows they stand for."""

    def __init__(
        self, work: UnitOfWork, queries: AdminQueries, catalog: CatalogService, clock: Clock
    ) -> None:
        self._work = work
        self._queries = queries
        self._catalog = catalog
        self._clock = clock

    async def stats(self) -> BillingStats:
        """Customers, subscriptions and monthly recurring revenue, in all and by tier.

        Revenue is the fee of what is active or past due, normalised to a month, before discounts
        and without metered usage; trials are counted apart.
        """
        async with self._work.begin_platform():
            await self._queries.hold_still()
            organizations = await self._queries.count_organizations_by_tier()
            sold = await self._queries.list_sold()
        tiers = [plan.key for plan in self._catalog.active.plans]
        return summarize(organizations, sold, tiers=tiers, currency=USD)

    async def list_customers(self, request: PageRequest) -> Counted[Customer]:
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_customers(request)

    async def list_subscriptions(
        self, request: PageRequest, status: str | None
    ) -> Counted[SubscriptionRow]:
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_subscriptions(request, status)

    async def list_charges(self, request: PageRequest) -> Counted[Charge]:
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_charges(request)

    async def list_invoices(
        self, request: PageRequest, status: InvoiceStatus | None
    ) -> Counted[InvoiceRow]:
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_invoices(request, status)

    async def list_users(self, request: PageRequest) -> Counted[PlatformUser]:
        """People, with what their organizations used in the current UTC calendar month."""
        month = self._clock.now().strftime("%Y-%m")
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_users(request, month)

    async def list_audit(
        self, request: PageRequest, organization_id: OrganizationId | None, action: str | None
    ) -> Page[AuditRow]:
        async with self._work.begin_platform():
            await self._queries.hold_still()
            return await self._queries.list_audit(request, organization_id, action)
