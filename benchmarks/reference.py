"""What the service is compared with: a bare FastAPI endpoint, and what a template would do.

The naive rival is authenticated by nothing, validates the same fields, adds one ORM row, updates
two rollup rows and commits, once per request.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import BigInteger, DateTime, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The rival's own tables."""


class NaiveEvent(Base):
    __tablename__ = "naive_events"

    organization: Mapped[str] = mapped_column(Text, primary_key=True)
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

    organization: Mapped[str] = mapped_column(Text, primary_key=True)
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


engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=8, max_overflow=8)
sessions = async_sessionmaker(engine)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.post("/naive/events", status_code=201)
async def record(event: EventIn) -> dict[str, str]:
    cost = (event.tokens_in * Decimal("2.5") + event.tokens_out * Decimal(10)) / 1_000_000
    async with sessions() as session:
        session.add(NaiveEvent(organization="org", cost=cost, details=None, **event.model_dump()))
        await session.flush()
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        for grain, bucket in (("hour", hour), ("month", hour.replace(day=1, hour=0))):
            await _add(session, grain, bucket, event.tokens_in + event.tokens_out, cost)
        await session.commit()
    return {"id": event.id, "status": "recorded"}


async def _add(
    session: AsyncSession, grain: str, bucket: datetime, tokens: int, cost: Decimal
) -> None:
    statement = insert(NaiveRollup).values(
        organization="org", bucket=bucket, grain=grain, tokens=tokens, cost=cost
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
