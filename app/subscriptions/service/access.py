"""What an organization may use, from everything it holds: decided anew after each piece of news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from app.catalog.domain import Catalog
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.subscriptions.domain import (
    ENDED,
    Decision,
    Failure,
    Held,
    decide,
    first_failure,
    grace_until,
)
from app.subscriptions.events import DuplicateSubscription, TrialEnding
from app.subscriptions.metering import MeteredPlans
from app.subscriptions.models import ManualPlan, Subscription
from app.subscriptions.repository import ManualPlanRepository, SubscriptionRepository
from app.subscriptions.service.given import GivenStretches

log = structlog.get_logger(__name__)

REVIEW_JOB = "subscriptions.review_access"
TRIAL_NOTICE = timedelta(days=3)
_OWING = frozenset({"past_due", "unpaid"})


class AccessReview:
    """Decides and grants. Needs the organization's lock."""

    def __init__(
        self,
        work: UnitOfWork,
        subscriptions: SubscriptionRepository,
        manual_plans: ManualPlanRepository,
        organizations: OrganizationService,
        catalogs: CatalogService,
        clock: Clock,
        grace_days: int,
        stretches: GivenStretches,
        meters: Callable[[], MeteredPlans],
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._manual_plans = manual_plans
        self._organizations = organizations
        self._catalogs = catalogs
        self._clock = clock
        self._grace_days = grace_days
        self._stretches = stretches
        self._meters = meters

    async def make(
        self, organization_id: OrganizationId, *, ending_trial: str | None = None
    ) -> None:
        """Grant what counts now, flag what is too many, and see to it that time is noticed.

        *ending_trial* names a subscription whose trial Stripe says is about to end.
        """
        now = self._clock.now()
        rows = await self._subscriptions.list_for_organization(organization_id)
        for row in rows:
            await self._note_trouble(organization_id, row)
        catalog = self._catalogs.active
        decision = decide([_held(row, catalog) for row in rows], now, self._grace_days)
        for row in rows:
            self._flag(organization_id, row, is_duplicate=row.id in decision.duplicates)
            self._tell_of_trial(row, now, is_told=row.stripe_subscription_id == ending_trial)
            if row.status == "past_due" and row.first_failed_at is not None:
                self._return_at(organization_id, grace_until(row.first_failed_at, self._grace_days))
        bought = await self._granted(rows, decision)
        granted, given = bought, await self._manual_plans.find_in_force(organization_id, now)
        if given is not None:
            self._return_at(organization_id, given.ends_at)
            granted = _better(bought, given, catalog)
        # One instant for all three: use before it is billed by what counted before it.
        counts = given if granted is not bought else None
        beneath = await self._stretches.follow(organization_id, counts, bought, catalog, now)
        metered = bought if counts is None and decision.counts is not None else None
        await self._meters().follow(organization_id, metered, now)
        await self._organizations.apply_entitlements(organization_id, granted, kept_as=beneath)

    async def _note_trouble(self, organization_id: OrganizationId, row: Subscription) -> None:
        owed: list[Failure] = []
        # Who has not paid a first time has no grace: there is nothing to go on with.
        if row.status in _OWING and not row.awaits_first_payment:
            owed = await self._subscriptions.list_failures(
                organization_id, row.stripe_subscription_id
            )
        # Each is set once: a value in passing would be written by the next query.
        seen_at = None if row.awaits_first_payment else row.past_due_seen_at
        row.first_failed_at = first_failure(owed, seen_at)
        owing_url = row.open_invoice_url or next((o.pay_url for o in owed if o.pay_url), None)
        # To pay for a subscription that has ended would bring nothing back.
        row.pay_url = None if row.status in ENDED else owing_url

    def _flag(
        self, organization_id: OrganizationId, row: Subscription, *, is_duplicate: bool
    ) -> None:
        if is_duplicate and not row.is_duplicate:
            log.error(
                "subscriptions.duplicate",
                organization_id=str(organization_id),
                stripe_subscription_id=row.stripe_subscription_id,
            )
            self._work.announce(
                DuplicateSubscription(organization_id, row.id, row.stripe_subscription_id)
            )
        row.is_duplicate = is_duplicate

    def _tell_of_trial(self, row: Subscription, now: datetime, *, is_told: bool) -> None:
        end = row.trial_end
        if row.status != "trialing" or end is None or row.trial_told_for == end or end <= now:
            return
        if row.cancel_at_period_end or row.cancel_at is not None:
            return  # nothing will be charged, so there is nothing to be warned of
        organization_id = OrganizationId(row.organization_id)
        if not is_told and now < end - TRIAL_NOTICE:
            self._return_at(organization_id, end - TRIAL_NOTICE)
            return
        row.trial_told_for = end
        self._work.announce(TrialEnding(organization_id, row.id, end))

    async def _granted(self, rows: Sequence[Subscription], decision: Decision) -> Entitlements:
        counts = next((r for r in rows if decision.counts and r.id == decision.counts.id), None)
        if counts is None:
            return self._catalogs.active.free_entitlements()
        bought = await self._catalogs.version(counts.catalog_version)
        return bought.entitlements(counts.plan, counts.window)

    def _return_at(self, organization_id: OrganizationId, due_at: datetime) -> None:
        if due_at > self._clock.now():
            self._work.enqueue(
                REVIEW_JOB,
                {"organization_id": organization_id},
                dedupe_key=f"{REVIEW_JOB}:{organization_id}:{due_at.isoformat()}",
                due_at=due_at,
            )


def rank_of(plan: str, catalog: Catalog) -> int:
    """How good a plan is. One that is no longer sold is still held; it comes after the others."""
    known = catalog.plan(plan)
    return known.rank if known is not None else -1


def _held(row: Subscription, catalog: Catalog) -> Held:
    return Held(
        id=row.id,
        status=row.status,
        rank=rank_of(row.plan, catalog),
        created_at=row.created_at,
        first_failed_at=row.first_failed_at,
        awaits_first_payment=row.awaits_first_payment,
    )


def _better(granted: Entitlements, manual: ManualPlan, catalog: Catalog) -> Entitlements:
    """The higher of what was bought and what an operator gave; the quota window stays."""
    if catalog.plan(manual.plan) is None:
        return granted
    if rank_of(manual.plan, catalog) <= rank_of(granted.plan, catalog):
        return granted
    return catalog.entitlements(manual.plan, granted.window)
