"""Keeping the mirror true, whatever order the news comes in, and granting what follows from it."""

from __future__ import annotations

from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.domain import GRANTING, LIVE
from app.subscriptions.events import PriceUnknown, SubscriptionChanged
from app.subscriptions.models import Subscription
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service.access import AccessReview
from app.subscriptions.service.collecting import Collecting
from app.subscriptions.service.copying import copy_item, copy_subscription, plan_item, visible
from app.subscriptions.service.reports import Report, Taken

CLOSE_PAGE_JOB = "subscriptions.close_checkout_page"


class SubscriptionMirror:
    """Writes what Stripe says and grants what follows. Joins the unit of work around it."""

    def __init__(
        self,
        work: UnitOfWork,
        subscriptions: SubscriptionRepository,
        collecting: Collecting,
        access: AccessReview,
        catalogs: CatalogService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._collecting = collecting
        self._access = access
        self._catalogs = catalogs
        self._clock = clock

    async def take_ticket(self) -> int:
        """A number to take before Stripe is asked, in a short unit of its own.

        An answer is written only over answers to earlier questions. What a refused write would
        have said is not lost: the later question was put after the earlier event had happened.
        """
        async with self._work.begin_platform():
            return await self._subscriptions.take_ticket_for_platform()

    async def take(self, organization_id: OrganizationId, report: Report) -> Taken:
        """Make a report true here: the mirror, the failures, the paid period, the access.

        Repeating it changes nothing, and so does an older report after a newer one.
        """
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            row = await self._subscriptions.find(organization_id, report.subscription.id)
            if row is not None and row.applied_ticket >= report.ticket:
                taken = Taken.STALE
            else:
                row = self._write(organization_id, row, report)
                taken = Taken.APPLIED
            if row is None:
                return Taken.UNKNOWN_PRICE
            if report.invoice is not None:
                await self._collecting.note(organization_id, row, report, report.invoice)
            ending_trial = row.stripe_subscription_id if report.trial_ends else None
            await self._access.make(organization_id, ending_trial=ending_trial)
            return taken

    async def review_access(self, organization_id: OrganizationId) -> None:
        """Grant or take back what the time that has passed says: at the end of a grace period."""
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            await self._access.make(organization_id)

    def _write(
        self, organization_id: OrganizationId, row: Subscription | None, report: Report
    ) -> Subscription | None:
        """The row as the report says, or None where its price belongs to no plan."""
        subscription, catalog = report.subscription, self._catalogs.active
        item = plan_item(subscription, catalog)
        # Nothing changes for a price of no plan, but an end is an end whatever was billed.
        if item is None and (row is None or subscription.status in GRANTING):
            price_id = next((one.price_id for one in subscription.items), "")
            self._work.announce(PriceUnknown(organization_id, subscription.id, price_id))
            return None
        was_live = row is not None and row.status in LIVE
        if row is None:
            row = Subscription(
                organization_id=organization_id,
                id=new_id(),
                stripe_subscription_id=subscription.id,
                catalog_version=catalog.id,
                is_duplicate=False,
            )
            self._subscriptions.add(row)
        before = visible(row)
        if item is not None:
            copy_item(row, item, catalog)
        copy_subscription(row, subscription, catalog, self._clock.now())
        row.applied_ticket = report.ticket
        row.synced_at = self._clock.now()
        if visible(row) != before:
            self._work.announce(SubscriptionChanged(organization_id, row.id, row.status, row.plan))
        if row.status in LIVE and not was_live:
            # A page that is still open could be paid a second time.
            self._work.enqueue(
                CLOSE_PAGE_JOB,
                {"organization_id": organization_id},
                dedupe_key=f"{CLOSE_PAGE_JOB}:{organization_id}",
            )
        return row
