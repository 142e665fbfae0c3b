"""COPY of the same rows and keys: no rollups, and nobody learns which were repeats."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from benchmarks.floors import unnest
from benchmarks.floors.work import Run, Task, connect, timed

_KEYS = ("organization_id", "key_hash", "event_id", "payload_hash")
_EVENTS = (
    *("organization_id", "id", "occurred_at", "event_key", "event_type", "quantity"),
    *("provider", "model", "tokens_in", "tokens_out", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "cost_usd", "price_ids", "window_start", "counted", "created_at"),
)


async def copy(task: Task, stack: AsyncExitStack) -> Run:
    """A transaction per step, one after the other on one connection."""
    connection = await connect(task, stack)
    now = datetime.now(UTC)
    prepared = []
    for first, ids in task.steps():
        *columns, prices, _ = unnest.arguments(task.owner, ids, first, now)
        rows = list(zip(*columns, strict=True))
        prepared.append(
            (
                [(row[0], row[2], row[1], row[3]) for row in rows],
                [_event(*row, prices, now) for row in rows],
            )
        )

    async def step(keys: list[Any], events: list[Any]) -> None:
        async with connection.transaction():
            await connection.copy_records_to_table("usage_keys", records=keys, columns=_KEYS)
            await connection.copy_records_to_table("usage_events", records=events, columns=_EVENTS)

    async def run() -> list[float]:
        return [await timed(step(*each)) for each in prepared]

    return run


def _event(*row: Any) -> tuple[Any, ...]:
    owner, name, _, _, happened, key, provider, model, came, went, cost, window, counted, *rest = (
        row
    )
    prices, now = rest
    return (
        *(owner, name, happened, key, "tokens", Decimal(1), provider, model, came, went),
        *(0, 0, 0, Decimal(cost), prices, window, counted, now),
    )
