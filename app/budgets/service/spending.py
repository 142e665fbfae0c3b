"""Asking whether something may be spent, and recording what was spent elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from app.budgets import domain
from app.budgets.repository import BudgetRepository
from app.budgets.service.budgets import budget_of
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.rates import plain
from app.usage.domain import SPEND, NewEvent
from app.usage.service.ingest import UsageIngest
from app.usage.service.spend_limits import SpendLimits
from app.usage.service.submission import Recorded, Spender
from app.usage.spend import Refusal, SpendLabels


@dataclass(frozen=True, slots=True)
class Verdict:
    """A budget that the spending would meet, and why it refuses; None where it does not."""

    budget: domain.Budget
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Spending:
    """Money spent on something that is not a call to a model; `key` is the caller's id for it."""

    key: str
    amount_usd: Decimal
    labels: SpendLabels
    occurred_at: datetime | None
    description: str | None


class SpendingService:
    """Advice before, a record after."""

    def __init__(
        self,
        work: UnitOfWork,
        budgets: BudgetRepository,
        limits: SpendLimits,
        ingest: UsageIngest,
    ) -> None:
        self._work = work
        self._budgets = budgets
        self._limits = limits
        self._ingest = ingest

    async def check(
        self,
        organization_id: OrganizationId,
        labels: SpendLabels,
        cost: Decimal,
        *,
        spender: Spender,
    ) -> list[Verdict]:
        """What each budget would say to spending *cost* now. Advice: nothing is held."""
        async with self._work.begin(organization_id):
            found = await self._limits.check(
                organization_id, labels, cost, caller=spender.caller, may_exceed=spender.may_exceed
            )
            rows = await self._budgets.list_named(
                organization_id, [verdict.standing.limit.id for verdict in found]
            )
        by_id = {row.id: row for row in rows}
        return [
            Verdict(budget_of(by_id[verdict.standing.limit.id], verdict.standing), verdict.refusal)
            for verdict in found
            if verdict.standing.limit.id in by_id
        ]

    async def met_by(
        self, organization_id: OrganizationId, labels: SpendLabels
    ) -> list[domain.Budget]:
        """The budgets that spending with these labels counts towards."""
        verdicts = await self.check(
            organization_id, labels, Decimal(0), spender=Spender("", may_exceed=True)
        )
        return [verdict.budget for verdict in verdicts]

    async def record(
        self,
        organization_id: OrganizationId,
        spending: Spending,
        *,
        enforce: bool,
        spender: Spender,
    ) -> Recorded:
        """Record *spending* once for its key, as an event of the type `spend` whose cost is given.

        With *enforce*, raises `BudgetExceeded` instead of recording past a budget. Raises
        `EventConflict` when the key was used for something else.
        """
        labels = spending.labels
        event = NewEvent(
            key=spending.key,
            type=SPEND,
            payload=_content(spending),
            quantity=Decimal(1),
            occurred_at=spending.occurred_at,
            provider=labels.provider,
            model=labels.model,
            tokens_in=0,
            tokens_out=0,
            cached_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            user_id=labels.user_id,
            debate_id=labels.debate_id,
            agent=None,
            workspace=labels.workspace,
            request_type=None,
            rounds=None,
            latency_ms=None,
            metadata=None if spending.description is None else _described(spending.description),
            raw_usage=None,
            cost_usd=spending.amount_usd,
        )
        return await self._ingest.record_one(
            organization_id,
            event,
            enforce=enforce,
            api_key_id=labels.api_key_id,
            spender=spender,
        )


def _content(spending: Spending) -> bytes:
    """What a repeat must equal: 5.00 and 5 are the same, and so is another key of the caller's."""
    labels = replace(spending.labels, api_key_id=None)
    parts = (plain(spending.amount_usd), labels, spending.occurred_at, spending.description)
    return repr(parts).encode()


def _described(description: str) -> str:
    return json.dumps({"description": description})
