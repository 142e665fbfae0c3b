"""The price book's tables."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import new_id

PRICE_PLACES = 10
"""Decimal places of a price per million: the cost of one cached token is then exact in 18."""

MARKUP_PLACES = 4

PerMillion = Annotated[Decimal, mapped_column(Numeric(38, PRICE_PLACES))]


class LlmPrice(PlatformTable):
    """A price per million tokens of a role, from an instant on. Rows are added, never changed."""

    __tablename__ = "llm_prices"
    __table_args__ = (
        UniqueConstraint("provider", "model", "role", "effective_from"),
        CheckConstraint("per_million >= 0", name="not_negative"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    provider: Mapped[str]
    model: Mapped[str]
    role: Mapped[str]
    per_million: Mapped[PerMillion]
    effective_from: Mapped[datetime]
    created_at: Mapped[datetime]


class LlmPriceOverride(TenantTable):
    """What one organization pays instead."""

    __tablename__ = "llm_price_overrides"
    __table_args__ = (
        UniqueConstraint("organization_id", "provider", "model", "role", "effective_from"),
        CheckConstraint("per_million >= 0", name="not_negative"),
    )

    provider: Mapped[str]
    model: Mapped[str]
    role: Mapped[str]
    per_million: Mapped[PerMillion]
    effective_from: Mapped[datetime]
    created_at: Mapped[datetime]


class LlmPriceMarkup(TenantTable):
    """What one organization pays on top of the price that would otherwise hold, in percent."""

    __tablename__ = "llm_price_markups"
    __table_args__ = (
        UniqueConstraint("organization_id", "provider", "model", "effective_from"),
        CheckConstraint("percent > -100", name="above_minus_100"),
    )

    provider: Mapped[str]
    model: Mapped[str]
    percent: Mapped[Decimal] = mapped_column(Numeric(12, MARKUP_PLACES))
    effective_from: Mapped[datetime]
    created_at: Mapped[datetime]


class LlmModelAlias(PlatformTable):
    """Another name of a model that has its price under its own."""

    __tablename__ = "llm_model_aliases"

    provider: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]


class PriceBookState(PlatformTable):
    """One row: the version of the whole book. Whoever writes a price raises it in the same unit,
    so a cost worked out from an older copy of the book is noticed before it is stored."""

    __tablename__ = "price_book_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(BigInteger(), primary_key=True, autoincrement=False)
    version: Mapped[int]
