"""Alerts: a row for each threshold of each period, and a word to people."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.audit.service import AuditLog
from app.budgets.domain import Alert, ThresholdAction, action_at
from app.budgets.events import BudgetThresholdReached
from app.budgets.models import BudgetAlert
from app.budgets.repository import AlertRepository, BudgetRepository
from app.budgets.service.budgets import thresholds_of
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest


class AlertService:
    """Raises alerts and lists them."""

    def __init__(
        self,
        work: UnitOfWork,
        budgets: BudgetRepository,
        alerts: AlertRepository,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._budgets = budgets
        self._alerts = alerts
        self._audit = audit
        self._clock = clock

    async def raise_alert(
        self,
        organization_id: OrganizationId,
        budget_id: UUID,
        *,
        period_start: datetime,
        fraction: Decimal,
        is_highest: bool,
        amount_usd: Decimal,
        spent_usd: Decimal,
        held_usd: Decimal,
        is_suspended: bool,
    ) -> None:
        """Note that a threshold was reached, once for its period; a repeat changes nothing.

        A budget that is gone raises none.
        """
        async with self._work.begin(organization_id):
            budget = await self._budgets.find(organization_id, budget_id)
            if budget is None:
                return
            row = BudgetAlert(
                organization_id=organization_id,
                id=new_id(),
                budget_id=budget_id,
                budget_name=budget.name,
                period_start=period_start,
                fraction=fraction,
                action=action_at(thresholds_of(budget), fraction).value,
                amount_usd=amount_usd,
                spent_usd=spent_usd,
                held_usd=held_usd,
                is_suspended=is_suspended,
                raised_at=self._clock.now(),
            )
            if not await self._alerts.add_once(organization_id, row):
                return
            if budget.auto_suspend and is_suspended and fraction == 1:
                self._audit.record(
                    "budgets.suspended",
                    encode_id("bud", budget_id),
                    organization_id=organization_id,
                    reason="the whole amount was spent",
                )
            if is_highest:
                self._work.announce(
                    BudgetThresholdReached(organization_id=organization_id, alert_id=row.id)
                )

    async def get(self, organization_id: OrganizationId, alert_id: UUID) -> Alert:
        """Raises `AlertNotFound`."""
        async with self._work.begin(organization_id):
            return _alert(await self._alerts.get(organization_id, alert_id))

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest, budget_id: UUID | None
    ) -> Page[Alert]:
        """Alerts, the latest first; those of one budget where it is named."""
        async with self._work.begin(organization_id):
            page = await self._alerts.list_for_organization(organization_id, request, budget_id)
            return page.map(_alert)


def _alert(row: BudgetAlert) -> Alert:
    return Alert(
        id=row.id,
        budget_id=row.budget_id,
        budget_name=row.budget_name,
        period_start=row.period_start,
        fraction=row.fraction,
        action=ThresholdAction(row.action),
        amount_usd=row.amount_usd,
        spent_usd=row.spent_usd,
        held_usd=row.held_usd,
        is_suspended=row.is_suspended,
        raised_at=row.raised_at,
    )
