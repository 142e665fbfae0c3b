"""Lago over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx

from app.gateways.lago.gateway import LagoEvent, LagoUnavailable, Refusals
from app.infra.db.unit_of_work import refuse_inside_unit
from app.infra.telemetry.metrics import GATEWAY_SECONDS
from app.kernel.rates import plain

_PATH = "/api/v1/events/batch"
_TIMEOUT_SECONDS = 15.0
_KNOWN = "value_already_exist"
# Somebody has to set these right, or wait; the events are not to blame.
_WAIT = frozenset({401, 403, 404, 405, 408, 425, 429})


class LiveLago:
    """One Lago, by its address and key."""

    def __init__(
        self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._address = url.rstrip("/") + _PATH
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_SECONDS,
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, events: Sequence[LagoEvent]) -> Refusals | None:
        refuse_inside_unit()
        started_at = time.perf_counter()
        outcome = "unavailable"
        try:
            answer = await self._post([_shown(event) for event in events])
            outcome = "taken" if answer is None else "refused"
            return answer
        finally:
            GATEWAY_SECONDS.labels("lago", "send", outcome).observe(
                time.perf_counter() - started_at
            )

    async def _post(self, events: list[dict[str, Any]]) -> Refusals | None:
        try:
            answer = await self._client.post(self._address, json={"events": events})
        except httpx.HTTPError as error:
            raise LagoUnavailable(reason=type(error).__name__) from error
        status = answer.status_code
        if answer.is_success:
            return None
        if status >= 500 or status < 400 or status in _WAIT:
            raise LagoUnavailable(reason=f"HTTP {status}")
        return _refusals(answer)


def _shown(event: LagoEvent) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "transaction_id": event.transaction_id,
        "external_subscription_id": event.subscription,
        "code": event.code,
        "timestamp": f"{event.happened_at.timestamp():.3f}",
        "properties": dict(event.properties),
    }
    if event.cost_cents is not None:
        shown["precise_total_amount_cents"] = plain(event.cost_cents)
    return shown


def _refusals(answer: httpx.Response) -> Refusals:
    """`{"error_details": {"0": {"transaction_id": ["value_already_exist"]}}}` and the like."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    details = body.get("error_details") if isinstance(body, dict) else None
    known: set[int] = set()
    by_position: dict[int, str] = {}
    for position, why in details.items() if isinstance(details, dict) else ():
        if not (isinstance(position, str) and position.isdigit() and isinstance(why, dict)):
            continue
        if set(why) == {"transaction_id"} and why["transaction_id"] == [_KNOWN]:
            known.add(int(position))
        else:
            by_position[int(position)] = "; ".join(f"{name}: {why[name]}" for name in sorted(why))
    return Refusals(frozenset(known), by_position, f"HTTP {answer.status_code}")
