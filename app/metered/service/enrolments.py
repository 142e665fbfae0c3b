"""Who is metered, from the moment at which a metered plan is granted to its end."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from app.catalog.domain import Metric
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.metered.domain import Enrolment
from app.metered.repository import EnrolmentRepository
from app.organizations.service import OrganizationService
from app.subscriptions.domain import GRANTING, SubscriptionView
from app.subscriptions.service import SubscriptionService

log = structlog.get_logger(__name__)


class Enrolments:
    """Follows subscriptions. What was used before a plan was granted is not billed by it."""

    def __init__(
        self,
        work: UnitOfWork,
        enrolments: EnrolmentRepository,
        organizations: OrganizationService,
        subscriptions: SubscriptionService,
        catalogs: CatalogService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._enrolments = enrolments
        self._organizations = organizations
        self._subscriptions = subscriptions
        self._catalogs = catalogs
        self._clock = clock

    @property
    def anybody_can_be(self) -> bool:
        """Whether any plan of the catalog has a metered price at Stripe."""
        return any(self._metered(plan.key) for plan in self._catalogs.active.plans)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of the catalog in force."""
        return self._catalogs.active.metrics

    async def review(self, organization_id: OrganizationId) -> None:
        """Begin, change or end an enrolment as the subscription says now. Repeats change nothing."""
        async with self._work.begin(organization_id):
            # Locked before the subscription is read, so that of two reviews the later one reads
            # what is at least as new.
            await self._enrolments.lock(organization_id)
            view = await self._subscriptions.current(organization_id)
            customer = (await self._organizations.get(organization_id)).stripe_customer_id
            prices = self._prices_of(view) if customer is not None else {}
            running = await self._enrolments.find_open(organization_id)
            if running is not None:
                if prices == running.prices and customer == running.stripe_customer_id:
                    return
                await self._enrolments.end(organization_id, self._clock.now())
            if prices and customer is not None:
                await self._enrolments.begin(
                    organization_id,
                    Enrolment(organization_id, customer, prices, self._clock.now(), None),
                )
            if prices or running is not None:
                log.info(
                    "metered.enrolled" if prices else "metered.ended",
                    organization_id=str(organization_id),
                    metrics=sorted(prices),
                )

    def _prices_of(self, view: SubscriptionView) -> Mapping[str, str]:
        # In grace what was bought is granted still; after it the tier falls to the free one.
        if view.status not in GRANTING or view.tier != view.plan:
            return {}
        return self._metered(view.plan)

    def _metered(self, plan_key: str) -> Mapping[str, str]:
        plan = self._catalogs.active.plan(plan_key)
        return {
            price.metric: price.stripe_price_id
            for price in (plan.metered if plan is not None else ())
            if price.stripe_price_id is not None
        }
