"""Budgets, overrides and alerts, in and out of the database."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from app.budgets.errors import AlertNotFound, BudgetNotFound, OverrideNotFound
from app.budgets.models import Budget, BudgetAlert, BudgetOverride
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest
from app.usage.spend import SpendPeriod, SpendScope


class BudgetRepository(Repository):
    """Budgets."""

    async def add(self, budget: Budget) -> None:
        self.session.add(budget)
        await self.session.flush()

    async def get(self, organization_id: OrganizationId, budget_id: UUID) -> Budget:
        """Raises `BudgetNotFound`."""
        found = await self.find(organization_id, budget_id)
        if found is None:
            raise BudgetNotFound
        return found

    async def find(self, organization_id: OrganizationId, budget_id: UUID) -> Budget | None:
        return await self.session.get(Budget, (organization_id, budget_id), populate_existing=True)

    async def find_for_debate(
        self, organization_id: OrganizationId, debate_id: str
    ) -> Budget | None:
        """The one budget that holds for a debate as long as it lasts."""
        return await self.session.scalar(
            select(Budget).where(
                Budget.organization_id == organization_id,
                Budget.scope == SpendScope.DEBATE.value,
                Budget.subject == debate_id,
                Budget.period == SpendPeriod.TOTAL.value,
            )
        )

    async def count_for_subject(
        self, organization_id: OrganizationId, scope: SpendScope, subject: str
    ) -> int:
        found = await self.session.scalar(
            select(func.count())
            .select_from(Budget)
            .where(
                Budget.organization_id == organization_id,
                Budget.scope == scope.value,
                Budget.subject == subject,
            )
        )
        return found or 0

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest, scope: SpendScope | None
    ) -> Page[Budget]:
        query = select(Budget).where(Budget.organization_id == organization_id)
        if scope is not None:
            query = query.where(Budget.scope == scope.value)
        return await self.page(query, request, Budget.id, lambda budget: budget.id)

    async def list_named(
        self, organization_id: OrganizationId, budget_ids: list[UUID]
    ) -> list[Budget]:
        rows = await self.session.scalars(
            select(Budget).where(
                Budget.organization_id == organization_id, Budget.id.in_(budget_ids)
            )
        )
        return list(rows)

    async def delete(self, organization_id: OrganizationId, budget: Budget) -> None:
        await self.session.delete(budget)
        await self.session.flush()


class OverrideRepository(Repository):
    """Overrides."""

    async def add(self, override: BudgetOverride) -> None:
        self.session.add(override)
        await self.session.flush()

    async def get(
        self, organization_id: OrganizationId, budget_id: UUID, override_id: UUID
    ) -> BudgetOverride:
        """Raises `OverrideNotFound`."""
        found = await self.session.get(BudgetOverride, (organization_id, override_id))
        if found is None or found.budget_id != budget_id:
            raise OverrideNotFound
        return found

    async def list_for_budget(
        self, organization_id: OrganizationId, budget_id: UUID, request: PageRequest
    ) -> Page[BudgetOverride]:
        query = select(BudgetOverride).where(
            BudgetOverride.organization_id == organization_id,
            BudgetOverride.budget_id == budget_id,
        )
        return await self.page(query, request, BudgetOverride.id, lambda row: row.id)

    async def list_ids(self, organization_id: OrganizationId, budget_id: UUID) -> list[UUID]:
        rows = await self.session.scalars(
            select(BudgetOverride.id).where(
                BudgetOverride.organization_id == organization_id,
                BudgetOverride.budget_id == budget_id,
            )
        )
        return list(rows)

    async def delete(self, organization_id: OrganizationId, override: BudgetOverride) -> None:
        await self.session.delete(override)
        await self.session.flush()


class AlertRepository(Repository):
    """Alerts."""

    async def add_once(self, organization_id: OrganizationId, alert: BudgetAlert) -> bool:
        """Store the alert unless its threshold was alerted in its period; says whether it was new."""
        values = {
            column.key: getattr(alert, column.key) for column in BudgetAlert.__table__.columns
        }
        stored = await self.session.execute(
            insert(BudgetAlert)
            .values(values)
            .on_conflict_do_nothing(
                index_elements=["organization_id", "budget_id", "period_start", "fraction"]
            )
            .returning(BudgetAlert.id)
        )
        return stored.first() is not None

    async def get(self, organization_id: OrganizationId, alert_id: UUID) -> BudgetAlert:
        """Raises `AlertNotFound`."""
        found = await self.session.get(BudgetAlert, (organization_id, alert_id))
        if found is None:
            raise AlertNotFound
        return found

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest, budget_id: UUID | None
    ) -> Page[BudgetAlert]:
        query = select(BudgetAlert).where(BudgetAlert.organization_id == organization_id)
        if budget_id is not None:
            query = query.where(BudgetAlert.budget_id == budget_id)
        return await self.page(query, request, BudgetAlert.id, lambda alert: alert.id)
