"""What a template does: validate, add one ORM row, update two rollup rows, commit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, Numeric, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

router = APIRouter()


class Base(DeclarativeBase):
    """The rival's own tables, as in `tables.py`."""


class NaiveEvent(Base):
    __tablename__ = "naive_events"

    organization: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    provider: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Numeric(38, 12))
    details: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class NaiveRollup(Base):
    __tablename__ = "naive_rollups"

    organization: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    bucket: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    grain: Mapped[str] = mapped_column(Text, primary_key=True)
    tokens: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Numeric(38, 12))


class EventIn(BaseModel):
    id: str
    type: str
    provider: str | None = None
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    occurred_at: datetime


def cost_of(event: EventIn) -> Decimal:
    return (event.tokens_in * Decimal("2.5") + event.tokens_out * Decimal(10)) / 1_000_000


@router.post("/naive/{organization}/events", status_code=201)
async def record(organization: UUID, event: EventIn, request: Request) -> dict[str, str]:
    cost = cost_of(event)
    async with request.app.state.sessions() as session:
        session.add(
            NaiveEvent(organization=organization, cost=cost, details=None, **event.model_dump())
        )
        await session.flush()
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        for grain, bucket in (("hour", hour), ("month", hour.replace(day=1, hour=0))):
            tokens = event.tokens_in + event.tokens_out
            await _add(session, organization, grain, bucket, tokens, cost)
        await session.commit()
    return {"id": event.id, "status": "recorded"}


async def _add(
    session: AsyncSession,
    organization: UUID,
    grain: str,
    bucket: datetime,
    tokens: int,
    cost: Decimal,
) -> None:
    statement = insert(NaiveRollup).values(
        organization=organization, bucket=bucket, grain=grain, tokens=tokens, cost=cost
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["organization", "bucket", "grain"],
            set_={
                "tokens": NaiveRollup.tokens + statement.excluded.tokens,
                "cost": NaiveRollup.cost + statement.excluded.cost,
            },
        )
    )
