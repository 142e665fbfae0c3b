"""Who is metered, from the moment at which a metered plan is granted to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import structlog

from app.catalog.domain import Catalog, Metric
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId
from app.metered.domain import Enrolment
from app.metered.repository import EnrolmentRepository
from app.organizations.service import OrganizationService

log = structlog.get_logger(__name__)


class Enrolments:
    """Follows what is granted. What was used before a plan was granted is not billed by it."""

    def __init__(
        self,
        work: UnitOfWork,
        enrolments: EnrolmentRepository,
        organizations: OrganizationService,
        catalogs: CatalogService,
    ) -> None:
        self._work = work
        self._enrolments = enrolments
        self._organizations = organizations
        self._catalogs = catalogs

    @property
    def anybody_can_be(self) -> bool:
        """Whether any plan of the catalog has a metered price at Stripe."""
        active = self._catalogs.active
        return any(_metered(active, plan.key) for plan in active.plans)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of the catalog in force."""
        return self._catalogs.active.metrics

    async def follow(
        self, organization_id: OrganizationId, bought: Entitlements | None, at: datetime
    ) -> None:
        """Begin, change or end an enrolment with what is granted, in the unit that grants it.

        Use before *at* is told under what counted before, and use from then on under the plan
        that was *bought*; a given plan, and none, is not Stripe's to bill (decision 0915). Needs
        the organization's lock.
        """
        async with self._work.begin(organization_id):
            prices: Mapping[str, str] = {}
            customer: str | None = None
            if bought is not None:
                prices = await self._prices_of(bought)
            if prices:
                organization = await self._organizations.get(organization_id)
                customer = organization.stripe_customer_id
            running = await self._enrolments.find_open(organization_id)
            if running is None and (not prices or customer is None):
                return
            if running is not None:
                if prices == running.prices and customer == running.stripe_customer_id:
                    return
                await self._enrolments.end(organization_id, at)
            if prices and customer is not None:
                await self._enrolments.begin(
                    organization_id, Enrolment(organization_id, customer, prices, at, None)
                )
            log.info(
                "metered.enrolled" if prices else "metered.ended",
                organization_id=str(organization_id),
                metrics=sorted(prices),
            )

    async def _prices_of(self, bought: Entitlements) -> Mapping[str, str]:
        version = bought.catalog_version
        catalog = await self._catalogs.version(version) if version else self._catalogs.active
        return _metered(catalog, bought.plan)


def _metered(catalog: Catalog, plan_key: str) -> Mapping[str, str]:
    plan = catalog.plan(plan_key)
    return {
        price.metric: price.stripe_price_id
        for price in (plan.metered if plan is not None else ())
        if price.stripe_price_id is not None
    }
