"""Overrides: who may pass a budget, until when, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from app.audit.service import AuditLog
from app.budgets.domain import Grant
from app.budgets.errors import OverrideOver
from app.budgets.models import BudgetOverride
from app.budgets.repository import BudgetRepository, OverrideRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.usage.service.spend_limits import SpendLimits
from app.usage.spend import Override

LONGEST = timedelta(days=366)


class OverrideService:
    """Grants and takes back overrides. They end by themselves."""

    def __init__(
        self,
        work: UnitOfWork,
        budgets: BudgetRepository,
        overrides: OverrideRepository,
        limits: SpendLimits,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._budgets = budgets
        self._overrides = overrides
        self._limits = limits
        self._audit = audit
        self._clock = clock

    async def grant(
        self,
        organization_id: OrganizationId,
        budget_id: UUID,
        *,
        user_id: str | None,
        until: datetime,
        reason: str,
        actor: str,
    ) -> Grant:
        """Let *user_id*, or everybody, pass a budget until an instant, suspended or not.

        Raises `BudgetNotFound`, `OverrideOver`.
        """
        now = self._clock.now()
        if not now < until <= now + LONGEST:
            raise OverrideOver
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            await self._budgets.get(organization_id, budget_id)
            row = BudgetOverride(
                organization_id=organization_id,
                id=new_id(),
                budget_id=budget_id,
                user_id=user_id,
                until=until,
                reason=reason,
                granted_by=actor,
                granted_at=now,
            )
            await self._overrides.add(row)
            await self._limits.override(
                organization_id, Override(row.id, budget_id, user_id, until)
            )
            self._audit.record(
                "budgets.override_granted",
                encode_id("bud", budget_id),
                organization_id=organization_id,
                after={"id": encode_id("bov", row.id), "user_id": user_id, "until": until},
                reason=reason,
            )
            return _grant(row)

    async def list_for_budget(
        self, organization_id: OrganizationId, budget_id: UUID, request: PageRequest
    ) -> Page[Grant]:
        """Overrides of a budget, the latest first, those that have ended too."""
        async with self._work.begin(organization_id):
            await self._budgets.get(organization_id, budget_id)
            page = await self._overrides.list_for_budget(organization_id, budget_id, request)
            return page.map(_grant)

    async def end(
        self, organization_id: OrganizationId, budget_id: UUID, override_id: UUID
    ) -> None:
        """Take an override back. Raises `BudgetNotFound`, `OverrideNotFound`."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            await self._budgets.get(organization_id, budget_id)
            row = await self._overrides.get(organization_id, budget_id, override_id)
            await self._limits.end_override(organization_id, override_id)
            self._audit.record(
                "budgets.override_ended",
                encode_id("bud", budget_id),
                organization_id=organization_id,
                before={
                    "id": encode_id("bov", row.id),
                    "user_id": row.user_id,
                    "until": row.until,
                },
            )
            await self._overrides.delete(organization_id, row)


def _grant(row: BudgetOverride) -> Grant:
    return Grant(
        row.id,
        row.budget_id,
        row.user_id,
        row.until,
        row.reason,
        row.granted_by,
        row.granted_at,
    )
