"""Budgets: made, changed, suspended and deleted, each with its limit in the same unit."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.audit.service import AuditLog
from app.budgets import domain
from app.budgets.domain import (
    MAX_FOR_ONE_SUBJECT,
    Subject,
    Terms,
    Threshold,
    ThresholdAction,
    limit_of,
)
from app.budgets.errors import BudgetNotFound, DebateHasBudget, TooManyBudgets
from app.budgets.models import Budget
from app.budgets.repository import BudgetRepository, OverrideRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.kernel.rates import plain
from app.usage.service.spend_limits import SpendLimits
from app.usage.spend import SpendPeriod, SpendScope, SpendStanding


class BudgetService:
    """Use-cases of budgets. Whoever changes one keeps recorders out for that moment."""

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

    async def create(
        self, organization_id: OrganizationId, subject: Subject, terms: Terms, *, actor: str
    ) -> domain.Budget:
        """Make a budget; what its running period has spent before counts.

        Raises `DebateHasBudget` for a second one over the whole of a debate, `TooManyBudgets`.
        """
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            return await self._create(organization_id, subject, terms, actor)

    async def _create(
        self, organization_id: OrganizationId, subject: Subject, terms: Terms, actor: str
    ) -> domain.Budget:
        known = await self._budgets.count_for_subject(organization_id, subject.scope, subject.name)
        if known >= MAX_FOR_ONE_SUBJECT:
            raise TooManyBudgets(most=MAX_FOR_ONE_SUBJECT)
        if subject == Subject(SpendScope.DEBATE, subject.name, SpendPeriod.TOTAL) and (
            await self._budgets.find_for_debate(organization_id, subject.name)
        ):
            raise DebateHasBudget
        now = self._clock.now()
        row = Budget(
            organization_id=organization_id,
            id=new_id(),
            scope=subject.scope.value,
            subject=subject.name,
            period=subject.period.value,
            created_by=actor,
            created_at=now,
            updated_at=now,
            **_columns(terms),
        )
        await self._budgets.add(row)
        standing = await self._limits.put(organization_id, limit_of(row.id, subject, terms))
        self._record("created", row, after=_shown(row))
        return budget_of(row, standing)

    async def get(self, organization_id: OrganizationId, budget_id: UUID) -> domain.Budget:
        """Raises `BudgetNotFound`."""
        async with self._work.begin(organization_id):
            row = await self._budgets.get(organization_id, budget_id)
            return budget_of(row, await self._limits.standing(organization_id, budget_id))

    async def list(
        self, organization_id: OrganizationId, request: PageRequest, scope: SpendScope | None
    ) -> Page[domain.Budget]:
        async with self._work.begin(organization_id):
            page = await self._budgets.list_for_organization(organization_id, request, scope)
            standings = await self._limits.standings(
                organization_id, [row.id for row in page.items]
            )
        by_id = {standing.limit.id: standing for standing in standings}
        return page.map(lambda row: budget_of(row, by_id[row.id]))

    async def change(
        self, organization_id: OrganizationId, budget_id: UUID, changes: Mapping[str, Any]
    ) -> domain.Budget:
        """Change some of a budget's terms. Raises `BudgetNotFound`.

        An amount above what is spent ends a suspension that the budget had imposed by itself;
        thresholds that were alerted in the running period are not alerted again.
        """
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            row = await self._budgets.get(organization_id, budget_id)
            return await self._change(organization_id, row, changes)

    async def _change(
        self, organization_id: OrganizationId, row: Budget, changes: Mapping[str, Any]
    ) -> domain.Budget:
        before = _shown(row)
        known = _terms(row)
        terms = Terms(
            changes.get("name", known.name),
            changes.get("amount_usd", known.amount_usd),
            changes.get("thresholds", known.thresholds),
            changes.get("auto_suspend", known.auto_suspend),
        )
        if terms != known:
            for name, value in _columns(terms).items():
                setattr(row, name, value)
            row.updated_at = self._clock.now()
            after = _shown(row)
            changed = [name for name in after if after[name] != before[name]]
            self._record(
                "changed",
                row,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )
        standing = await self._limits.put(organization_id, limit_of(row.id, _subject(row), terms))
        return budget_of(row, standing)

    async def delete(self, organization_id: OrganizationId, budget_id: UUID) -> None:
        """Delete a budget and its overrides; its alerts stay. Raises `BudgetNotFound`."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            await self._delete(organization_id, await self._budgets.get(organization_id, budget_id))

    async def _delete(self, organization_id: OrganizationId, row: Budget) -> None:
        for override_id in await self._overrides.list_ids(organization_id, row.id):
            await self._limits.end_override(organization_id, override_id)
        await self._limits.remove(organization_id, row.id)
        self._record("deleted", row, before=_shown(row))
        await self._budgets.delete(organization_id, row)

    async def suspend(
        self, organization_id: OrganizationId, budget_id: UUID, reason: str | None
    ) -> domain.Budget:
        """Refuse everything that the budget covers until it is resumed. Raises `BudgetNotFound`."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            row = await self._budgets.get(organization_id, budget_id)
            before = await self._limits.standing(organization_id, budget_id)
            if not (before.is_suspended(self._clock.now()) and before.suspended_until is None):
                await self._limits.suspend(organization_id, budget_id)
                self._record("suspended", row, reason=reason)
            return budget_of(row, await self._limits.standing(organization_id, budget_id))

    async def resume(
        self, organization_id: OrganizationId, budget_id: UUID, reason: str | None
    ) -> domain.Budget:
        """Refuse no longer; a budget suspends itself at most once a period."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            row = await self._budgets.get(organization_id, budget_id)
            before = await self._limits.standing(organization_id, budget_id)
            if before.is_suspended(self._clock.now()):
                await self._limits.resume(organization_id, budget_id)
                self._record("resumed", row, reason=reason)
            return budget_of(row, await self._limits.standing(organization_id, budget_id))

    async def put_for_debate(
        self,
        organization_id: OrganizationId,
        debate_id: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
    ) -> domain.Budget:
        """Give a debate its budget, or change the one it has."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            row = await self._budgets.find_for_debate(organization_id, debate_id)
            if row is not None:
                return await self._change(organization_id, row, changes)
            terms = Terms(
                changes.get("name", f"Debate {debate_id}"),
                changes["amount_usd"],
                changes.get("thresholds", domain.DEFAULT_THRESHOLDS),
                changes.get("auto_suspend", False),
            )
            subject = Subject(SpendScope.DEBATE, debate_id, SpendPeriod.TOTAL)
            return await self._create(organization_id, subject, terms, actor)

    async def get_for_debate(
        self, organization_id: OrganizationId, debate_id: str
    ) -> domain.Budget:
        """Raises `BudgetNotFound`."""
        async with self._work.begin(organization_id):
            row = await self._budgets.find_for_debate(organization_id, debate_id)
            if row is None:
                raise BudgetNotFound
            return budget_of(row, await self._limits.standing(organization_id, row.id))

    async def delete_for_debate(self, organization_id: OrganizationId, debate_id: str) -> None:
        """Raises `BudgetNotFound`."""
        async with self._work.begin(organization_id):
            await self._limits.hold_still(organization_id)
            row = await self._budgets.find_for_debate(organization_id, debate_id)
            if row is None:
                raise BudgetNotFound
            await self._delete(organization_id, row)

    def _record(
        self,
        what: str,
        row: Budget,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
        reason: str | None = None,
    ) -> None:
        self._audit.record(
            f"budgets.{what}",
            encode_id("bud", row.id),
            organization_id=OrganizationId(row.organization_id),
            before=before,
            after=after,
            reason=reason,
        )


def _columns(terms: Terms) -> dict[str, Any]:
    return {
        "name": terms.name,
        "amount_usd": terms.amount_usd,
        "thresholds": [[plain(each.fraction), each.action.value] for each in terms.thresholds],
        "auto_suspend": terms.auto_suspend,
    }


def _shown(row: Budget) -> dict[str, object]:
    return {
        "name": row.name,
        "scope": row.scope,
        "subject": row.subject,
        "period": row.period,
        "amount_usd": plain(row.amount_usd),
        "thresholds": row.thresholds,
        "auto_suspend": row.auto_suspend,
    }


def _subject(row: Budget) -> Subject:
    return Subject(SpendScope(row.scope), row.subject, SpendPeriod(row.period))


def _terms(row: Budget) -> Terms:
    return Terms(row.name, row.amount_usd, thresholds_of(row), row.auto_suspend)


def thresholds_of(row: Budget) -> tuple[Threshold, ...]:
    return tuple(
        Threshold(Decimal(fraction), ThresholdAction(action)) for fraction, action in row.thresholds
    )


def budget_of(row: Budget, standing: SpendStanding) -> domain.Budget:
    return domain.Budget(
        row.id,
        _subject(row),
        _terms(row),
        standing,
        row.created_by,
        row.created_at,
        row.updated_at,
    )
