"""Careful rivals without an ORM: one statement, or one locked row, per request."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from benchmarks.rivals.naive import EventIn, cost_of

router = APIRouter()

_UPSERT = """
with ins as (
    insert into naive_events
        (organization, id, type, provider, model, tokens_in, tokens_out, cost, occurred_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    on conflict do nothing
    returning organization, tokens_in + tokens_out as tokens, cost, occurred_at
)
insert into naive_rollups (organization, bucket, grain, tokens, cost)
select organization, date_trunc(g, occurred_at, 'UTC'), g, tokens, cost
from ins, unnest(array['hour', 'month']) as g
order by g
on conflict (organization, bucket, grain) do update set
    tokens = naive_rollups.tokens + excluded.tokens, cost = naive_rollups.cost + excluded.cost
"""


class ConsumeIn(BaseModel):
    id: str
    quantity: int = 1


@router.post("/upsert/{organization}/events", status_code=201)
async def upsert(organization: UUID, event: EventIn, request: Request) -> dict[str, str]:
    """The event and its two rollups in one statement."""
    await request.app.state.pool.execute(
        _UPSERT,
        organization,
        event.id,
        event.type,
        event.provider,
        event.model,
        event.tokens_in,
        event.tokens_out,
        cost_of(event),
        event.occurred_at,
    )
    return {"id": event.id, "status": "recorded"}


@router.post("/consume/{organization}", status_code=201)
async def consume(organization: UUID, body: ConsumeIn, request: Request) -> dict[str, int]:
    """Check and consume under a row lock; no event is kept."""
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            "select used, most from naive_quotas where organization = $1 for update", organization
        )
        if row["used"] + body.quantity > row["most"]:
            raise HTTPException(402)
        await connection.execute(
            "update naive_quotas set used = used + $2 where organization = $1",
            organization,
            body.quantity,
        )
    return {"used": row["used"] + body.quantity}
