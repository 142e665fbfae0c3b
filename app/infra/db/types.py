"""Column types that say what they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Dialect, Numeric, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import mapped_column

from app.kernel.rates import COST_PLACES


class UtcInstant(TypeDecorator[datetime]):
    """`timestamptz` that takes aware instants only and gives them back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("an instant in the database is aware")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


Instant = Annotated[datetime, mapped_column(UtcInstant())]
Exact = Annotated[Decimal, mapped_column(Numeric(38, COST_PLACES))]
MinorUnits = Annotated[int, mapped_column(BigInteger())]
CurrencyCode = Annotated[str, mapped_column(String(3))]
Json = Annotated[dict[str, Any], mapped_column(JSONB())]
JsonList = Annotated[list[Any], mapped_column(JSONB())]
