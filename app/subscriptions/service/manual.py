"""Plans that an operator gives for a while, beside whatever an organization buys."""

from __future__ import annotations

from datetime import datetime

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.organizations.service import OrganizationService
from app.subscriptions.domain import GivenPlan
from app.subscriptions.errors import EndsInThePast, NoManualPlan
from app.subscriptions.given import GivenBilling
from app.subscriptions.models import ManualPlan
from app.subscriptions.repository import ManualPlanRepository, SubscriptionRepository
from app.subscriptions.service.mirror import SubscriptionMirror
from app.subscriptions.service.plans import known_plan


class ManualPlanService:
    """Gives and withdraws. What is bought goes on beside it; the higher of both counts."""

    def __init__(
        self,
        work: UnitOfWork,
        plans: ManualPlanRepository,
        subscriptions: SubscriptionRepository,
        mirror: SubscriptionMirror,
        organizations: OrganizationService,
        catalogs: CatalogService,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._plans = plans
        self._subscriptions = subscriptions
        self._mirror = mirror
        self._organizations = organizations
        self._catalogs = catalogs
        self._audit = audit
        self._clock = clock

    async def give(
        self,
        organization_id: OrganizationId,
        plan: str,
        ends_at: datetime,
        reason: str,
        operator_id: UserId,
        *,
        billing: GivenBilling = GivenBilling.INVOICE,
        usage_billing: GivenBilling | None = None,
    ) -> GivenPlan:
        """Grant *plan* from now until *ends_at*; it takes the place of one that was given before.

        Its fee, and what it meters, is billed or free as *billing* says, and *usage_billing* where
        the use is another matter (decision 0915).
        No event of Stripe's takes it back before its end. Raises `UnknownPlan`, `EndsInThePast`,
        `OrganizationNotFound`.
        """
        known_plan(self._catalogs.active, plan)
        now = self._clock.now()
        if ends_at <= now:
            raise EndsInThePast
        async with self._work.begin(organization_id):
            await self._organizations.get(organization_id)
            await self._subscriptions.lock(organization_id)
            await self._plans.withdraw(organization_id, now)
            given = ManualPlan(
                organization_id=organization_id,
                id=new_id(),
                plan=plan,
                reason=reason,
                granted_by=operator_id,
                granted_at=now,
                ends_at=ends_at,
                fee=billing.value,
                usage=(usage_billing or billing).value,
            )
            self._plans.add(given)
            self._audit.record(
                "subscriptions.manual_plan_given",
                encode_id("org", organization_id),
                organization_id=organization_id,
                after={
                    "plan": plan,
                    "ends_at": ends_at,
                    "billing": given.fee,
                    "usage_billing": given.usage,
                },
                reason=reason,
            )
            await self._mirror.review_access(organization_id)
            return await self._shown(organization_id, given)

    async def withdraw(self, organization_id: OrganizationId, reason: str) -> None:
        """End the plan that was given, before its time. Raises `NoManualPlan`."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            given = await self._plans.find_in_force(organization_id, now)
            if given is None:
                raise NoManualPlan
            await self._plans.withdraw(organization_id, now)
            self._audit.record(
                "subscriptions.manual_plan_withdrawn",
                encode_id("org", organization_id),
                organization_id=organization_id,
                before={"plan": given.plan, "ends_at": given.ends_at},
                reason=reason,
            )
            await self._mirror.review_access(organization_id)

    async def current(self, organization_id: OrganizationId) -> GivenPlan:
        """The plan that is given now. Raises `NoManualPlan`."""
        async with self._work.begin(organization_id):
            given = await self._plans.find_in_force(organization_id, self._clock.now())
            if given is None:
                raise NoManualPlan
            return await self._shown(organization_id, given)

    async def _shown(self, organization_id: OrganizationId, given: ManualPlan) -> GivenPlan:
        return GivenPlan(
            plan=given.plan,
            tier=(await self._organizations.entitlements(organization_id)).plan,
            reason=given.reason,
            granted_by=UserId(given.granted_by),
            granted_at=given.granted_at,
            ends_at=given.ends_at,
            billing=GivenBilling(given.fee),
            usage_billing=GivenBilling(given.usage),
        )
