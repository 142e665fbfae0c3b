"""The events that everybody records: the same model and token counts for service, rival, floor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from benchmarks.client import request

if TYPE_CHECKING:
    # Floors read this file, too, and need nothing of the service.
    from benchmarks.tenants import Tenant

SINGLE = "/api/v1/usage/events"
BATCH = "/api/v1/usage/events/batch"

PROVIDER, MODEL = "openai", "gpt-4o"
HAPPENED = datetime.now(UTC).replace(microsecond=0)

_LABELS = {"workspace": "research", "agent": "planner", "user_id": "u-17", "debate_id": "d-1"}


def tokens(number: int) -> tuple[int, int]:
    """Tokens in and out of the event of that number."""
    return 1000 + number % 500, 100 + number % 50


def cost(number: int) -> Decimal:
    """What the seeded price book makes of it."""
    tokens_in, tokens_out = tokens(number)
    return (tokens_in * Decimal("2.5") + tokens_out * Decimal(10)) / 1_000_000


def event(key: str, number: int, *, labels: bool = False) -> dict[str, object]:
    """One event as it is sent; *labels* name where it belongs."""
    tokens_in, tokens_out = tokens(number)
    return {
        "id": key,
        "type": "tokens",
        "provider": PROVIDER,
        "model": MODEL,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "occurred_at": HAPPENED.isoformat(),
        **(_LABELS if labels else {}),
    }


def keys(name: str, run: int, count: int) -> list[str]:
    """Ids that no other measurement uses."""
    return [f"{name}-{run}-{number}" for number in range(count)]


def singles(
    ids: Iterable[str], tenants: Sequence[Tenant], *, labels: bool = False, path: str = SINGLE
) -> list[bytes]:
    """A request for each id; organizations take turns."""
    return [
        request(
            "POST",
            path,
            json.dumps(event(key, number, labels=labels)).encode(),
            tenants[number % len(tenants)].headers,
        )
        for number, key in enumerate(ids)
    ]


def batches(ids: Sequence[str], size: int, tenant: Tenant) -> list[bytes]:
    """A request for every *size* ids."""
    return [
        request(
            "POST",
            BATCH,
            json.dumps(
                {
                    "events": [
                        event(key, first + place)
                        for place, key in enumerate(ids[first : first + size])
                    ]
                }
            ).encode(),
            tenant.headers,
        )
        for first in range(0, len(ids), size)
    ]
