"""Budgets, overrides and alerts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import TenantTable

Amount = Annotated[Decimal, mapped_column(Numeric(38, 18))]
Fraction = Annotated[Decimal, mapped_column(Numeric(9, 6))]


class Budget(TenantTable):
    """What someone decided; the limit of the same id holds it."""

    __tablename__ = "budgets"
    __table_args__ = (
        Index("ix_budgets_subject", "organization_id", "scope", "subject"),
        Index(
            "uq_budgets_debate",
            "organization_id",
            "subject",
            unique=True,
            postgresql_where=text("scope = 'debate' and period = 'total'"),
        ),
        CheckConstraint("amount_usd >= 0", name="amount_not_negative"),
    )

    name: Mapped[str]
    scope: Mapped[str]
    subject: Mapped[str]
    period: Mapped[str]
    amount_usd: Mapped[Amount]
    thresholds: Mapped[list[Any]]
    auto_suspend: Mapped[bool]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class BudgetOverride(TenantTable):
    """Who may pass a budget, until when, and who said so and why; usage keeps the same by its id."""

    __tablename__ = "budget_overrides"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "budget_id"],
            ["budgets.organization_id", "budgets.id"],
            ondelete="CASCADE",
        ),
        Index("ix_budget_overrides_budget_id", "organization_id", "budget_id"),
    )

    budget_id: Mapped[UUID]
    user_id: Mapped[str | None]
    until: Mapped[datetime]
    reason: Mapped[str]
    granted_by: Mapped[str]
    granted_at: Mapped[datetime]


class BudgetAlert(TenantTable):
    """A threshold that was reached; it stays when its budget goes."""

    __tablename__ = "budget_alerts"
    __table_args__ = (UniqueConstraint("organization_id", "budget_id", "period_start", "fraction"),)

    budget_id: Mapped[UUID]
    budget_name: Mapped[str]
    period_start: Mapped[datetime]
    fraction: Mapped[Fraction]
    action: Mapped[str]
    amount_usd: Mapped[Amount]
    spent_usd: Mapped[Amount]
    held_usd: Mapped[Amount]
    is_suspended: Mapped[bool]
    raised_at: Mapped[datetime]
