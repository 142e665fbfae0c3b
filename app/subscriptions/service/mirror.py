"""Keeping the mirror true, whatever order the news comes in, and granting what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from app.catalog.domain import Catalog
from app.catalog.service import CatalogService
from app.gateways.stripe.gateway import StripeInvoice, StripeItem, StripeSubscription
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.periods import Period
from app.organizations.service import OrganizationService
from app.subscriptions.domain import (
    ENDED,
    GRANTING,
    WINDOW_OPENING_REASONS,
    Held,
    PendingReason,
    decide,
    first_failure,
    grace_until,
)
from app.subscriptions.events import QuotaWindowOpened, SubscriptionChanged
from app.subscriptions.models import Subscription
from app.subscriptions.repository import SubscriptionRepository

log = structlog.get_logger(__name__)

REVIEW_JOB = "subscriptions.review_access"


class Taken(StrEnum):
    """What became of a report."""

    APPLIED = "applied"
    STALE = "stale"
    """A later question was answered before; what this one carried is in that answer."""
    UNKNOWN_PRICE = "unknown_price"


@dataclass(frozen=True, slots=True)
class Report:
    """What Stripe answered to the question with this ticket."""

    subscription: StripeSubscription
    ticket: int
    invoice: StripeInvoice | None = None
    failed_at: datetime | None = None
    """When a payment of the invoice failed, if that is the news."""


class SubscriptionMirror:
    """Writes what Stripe says and grants what follows. Joins the unit of work around it."""

    def __init__(
        self,
        work: UnitOfWork,
        subscriptions: SubscriptionRepository,
        organizations: OrganizationService,
        catalogs: CatalogService,
        clock: Clock,
        grace_days: int,
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._organizations = organizations
        self._catalogs = catalogs
        self._clock = clock
        self._grace_days = grace_days

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
            taken = await self._write(organization_id, report)
            if taken is Taken.UNKNOWN_PRICE:
                return taken
            if report.invoice is not None:
                await self._note_payment(organization_id, report, report.invoice)
            await self._review(organization_id)
            return taken

    async def review_access(self, organization_id: OrganizationId) -> None:
        """Grant or take back what the time that has passed says: at the end of a grace period."""
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            await self._review(organization_id)

    async def _write(self, organization_id: OrganizationId, report: Report) -> Taken:
        subscription = report.subscription
        row = await self._subscriptions.find(organization_id, subscription.id)
        if row is not None and row.applied_ticket >= report.ticket:
            return Taken.STALE
        item = plan_item(subscription, self._catalogs.active)
        # Nothing changes for a price of no plan, but an end is an end whatever was billed.
        if item is None and (row is None or subscription.status in GRANTING):
            return Taken.UNKNOWN_PRICE
        if row is None:
            row = Subscription(
                organization_id=organization_id,
                id=new_id(),
                stripe_subscription_id=subscription.id,
                catalog_version=self._catalogs.active.id,
                is_duplicate=False,
            )
            self._subscriptions.add(row)
        before = _visible(row)
        if item is not None:
            self._copy_item(row, item)
        self._copy(row, subscription)
        row.applied_ticket = report.ticket
        row.synced_at = self._clock.now()
        if _visible(row) != before:
            self._work.announce(SubscriptionChanged(organization_id, row.id, row.status, row.plan))
        return Taken.APPLIED

    def _copy_item(self, row: Subscription, item: StripeItem) -> None:
        sold = self._catalogs.active.plan_for_price(item.price_id)
        if sold is None:
            return
        if row.plan != sold[0]:
            # A version is kept until somebody moves to another plan.
            row.catalog_version = self._catalogs.active.id
        row.plan, row.interval = sold
        row.price_id = item.price_id
        row.amount = None if item.unit_amount is None else item.unit_amount * (item.quantity or 1)

    def _copy(self, row: Subscription, subscription: StripeSubscription) -> None:
        period = subscription.period
        row.stripe_customer_id = subscription.customer_id
        row.status = subscription.status
        row.currency = subscription.currency
        row.created_at = subscription.created_at
        row.period_start = period.start if period else None
        row.period_end = period.end if period else None
        row.cancel_at_period_end = subscription.cancel_at_period_end
        row.cancel_at = subscription.cancel_at
        row.canceled_at = subscription.canceled_at
        row.ended_at = subscription.ended_at
        row.trial_end = subscription.trial_end
        row.default_payment_method_id = subscription.default_payment_method_id
        row.pay_url = subscription.open_invoice_url
        schedule = subscription.schedule
        row.schedule_id = schedule.id if schedule and schedule.is_in_force else None
        if subscription.status != "past_due":
            row.past_due_seen_at = None
        elif row.past_due_seen_at is None:
            row.past_due_seen_at = self._clock.now()
        self._copy_pending(row, subscription)

    def _copy_pending(self, row: Subscription, subscription: StripeSubscription) -> None:
        row.pending_plan = row.pending_interval = None
        row.pending_effective_at = row.pending_reason = None
        if subscription.status in ENDED:
            return
        if (update := subscription.pending_update) is not None:
            self._set_pending(row, update.price_ids, update.expires_at, PendingReason.PAYMENT)
        elif (schedule := subscription.schedule) is not None and schedule.is_in_force:
            # By Stripe's own calendar, not by our clock: the two may differ by a test clock.
            end = subscription.period.end if subscription.period else subscription.created_at
            coming = next((phase for phase in schedule.phases if phase.starts_at >= end), None)
            if coming is not None:
                self._set_pending(row, coming.price_ids, coming.starts_at, PendingReason.PERIOD_END)

    def _set_pending(
        self, row: Subscription, price_ids: tuple[str, ...], at: datetime, reason: PendingReason
    ) -> None:
        sold = [self._catalogs.active.plan_for_price(price_id) for price_id in price_ids]
        plan, interval = next((one for one in sold if one is not None), (None, None))
        if plan is not None and (plan, interval) != (row.plan, row.interval):
            row.pending_plan, row.pending_interval = plan, interval
            row.pending_effective_at, row.pending_reason = at, reason.value

    async def _note_payment(
        self, organization_id: OrganizationId, report: Report, invoice: StripeInvoice
    ) -> None:
        subscription_id = report.subscription.id
        if invoice.id is None or invoice.subscription_id != subscription_id:
            return
        if invoice.status != "open":
            await self._subscriptions.settle_failure(organization_id, invoice.id)
        elif report.failed_at is not None:
            await self._subscriptions.note_failure(
                organization_id, subscription_id, invoice.id, report.failed_at
            )
        if invoice.is_paid and invoice.billing_reason in WINDOW_OPENING_REASONS:
            period = invoice.period or report.subscription.period
            if period is not None:
                await self._open_window(organization_id, subscription_id, invoice.id, period)

    async def _open_window(
        self, organization_id: OrganizationId, subscription_id: str, invoice_id: str, period: Period
    ) -> None:
        is_news = await self._subscriptions.open_period(
            organization_id, subscription_id, invoice_id, period, self._clock.now()
        )
        row = await self._subscriptions.find(organization_id, subscription_id)
        latest = await self._subscriptions.find_latest_period(organization_id, subscription_id)
        if not is_news or row is None or latest is None:
            return
        # An invoice paid late, after a newer one, opens nothing that is still open.
        row.window_start, row.window_end = latest.start, latest.end
        if latest == period:
            self._work.announce(
                QuotaWindowOpened(organization_id, row.id, period.start, period.end)
            )

    async def _review(self, organization_id: OrganizationId) -> None:
        now = self._clock.now()
        rows = await self._subscriptions.list_for_organization(organization_id)
        for row in rows:
            failures = await self._failures(organization_id, row)
            row.first_failed_at = first_failure(failures, row.past_due_seen_at)
        catalog = self._catalogs.active
        decision = decide([_held(row, catalog) for row in rows], now, self._grace_days)
        for row in rows:
            is_duplicate = row.id in decision.duplicates
            if is_duplicate and not row.is_duplicate:
                log.error(
                    "subscriptions.duplicate",
                    organization_id=str(organization_id),
                    stripe_subscription_id=row.stripe_subscription_id,
                )
            row.is_duplicate = is_duplicate
            if row.status == "past_due" and row.first_failed_at is not None:
                self._remind(organization_id, grace_until(row.first_failed_at, self._grace_days))
        counts = next((r for r in rows if decision.counts and r.id == decision.counts.id), None)
        if counts is None:
            granted = catalog.free_entitlements()
        else:
            bought = await self._catalogs.version(counts.catalog_version)
            granted = bought.entitlements(counts.plan, counts.window)
        await self._organizations.apply_entitlements(organization_id, granted)

    async def _failures(self, organization_id: OrganizationId, row: Subscription) -> list[datetime]:
        if row.status not in {"past_due", "unpaid"}:
            return []
        return await self._subscriptions.list_failures(organization_id, row.stripe_subscription_id)

    def _remind(self, organization_id: OrganizationId, due_at: datetime) -> None:
        if due_at > self._clock.now():
            self._work.enqueue(
                REVIEW_JOB,
                {"organization_id": organization_id},
                dedupe_key=f"{REVIEW_JOB}:{organization_id}:{due_at.isoformat()}",
                due_at=due_at,
            )


def _held(row: Subscription, catalog: Catalog) -> Held:
    return Held(
        id=row.id,
        status=row.status,
        rank=rank_of(row.plan, catalog),
        created_at=row.created_at,
        first_failed_at=row.first_failed_at,
    )


def rank_of(plan: str, catalog: Catalog) -> int:
    """How good a plan is. One that is no longer sold is still held; it comes after the others."""
    known = catalog.plan(plan)
    return known.rank if known is not None else -1


def _visible(row: Subscription) -> tuple[object, ...]:
    """What of a row is news to anybody when it differs."""
    return (
        row.status,
        row.plan,
        row.interval,
        row.period_end,
        row.cancel_at,
        row.cancel_at_period_end,
        row.trial_end,
        row.pending_plan,
    )


def plan_item(subscription: StripeSubscription, catalog: Catalog) -> StripeItem | None:
    """The item that sells a plan, whichever place it has in the list; the highest, if several."""
    best: tuple[int, StripeItem] | None = None
    for item in subscription.licensed:
        sold = catalog.plan_for_price(item.price_id)
        plan = catalog.plan(sold[0]) if sold else None
        if plan is not None and (best is None or plan.rank > best[0]):
            best = plan.rank, item
    return best[1] if best else None
