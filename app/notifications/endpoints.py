"""Endpoints of organizations and what is sent to them: values and rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.kernel.ids import OrganizationId, encode_id
from app.notifications.domain import Facts, HookEvent

MOST_ENDPOINTS = 20
MOST_ATTEMPTS_SHOWN = 20
KEPT = timedelta(days=30)
"""How long a message that is settled can be looked at and sent again."""

ENDPOINT_RETRIES = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After each failed attempt of a message. After the last, three days later, the endpoint is off."""

_PREFIXES = {
    "invoice_id": "inv",
    "refund_id": "ref",
    "dispute_id": "dsp",
    "grant_id": "crd",
    "top_up_id": "top",
    "alert_id": "bal",
    "endpoint_id": "whe",
}
# Ours alone: nothing of the API takes them.
_HIDDEN = frozenset({"organization_id", "fact_id", "subscription_id"})


class DeliveryState(StrEnum):
    """`pending` until the endpoint has `sent` a 2xx, or `failed` after the last attempt."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of an organization's that is told what happens."""

    id: UUID
    organization_id: OrganizationId
    url: str
    description: str
    events: tuple[HookEvent, ...]
    """Empty: all of them."""
    is_enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: what the other side said, or why there was no answer."""

    at: datetime
    status: int | None
    error: str | None
    excerpt: str
    milliseconds: int

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Attempt:
        return cls(**{**stored, "at": datetime.fromisoformat(stored["at"])})

    def to_json(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "status": self.status,
            "error": self.error,
            "excerpt": self.excerpt,
            "milliseconds": self.milliseconds,
        }


@dataclass(frozen=True, slots=True)
class HookDelivery:
    """A message to an endpoint, and what became of it."""

    id: UUID
    endpoint_id: UUID
    event: str
    body: str
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempts: Sequence[Attempt]
    created_at: datetime
    settled_at: datetime | None


def message(organization_id: OrganizationId, event: HookEvent, facts: Facts, at: datetime) -> str:
    """What endpoints are sent: the same bytes at every attempt, because they are signed."""
    data = {name: _shown(name, facts[name]) for name in facts if name not in _HIDDEN}
    return json.dumps(
        {
            "type": event.value,
            "timestamp": _instant(at),
            "data": {"organization_id": encode_id("org", organization_id), **data},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _shown(name: str, value: Any) -> Any:
    if name in _PREFIXES and value is not None:
        return encode_id(_PREFIXES[name], UUID(str(value)))
    if isinstance(value, str) and name.endswith(("_at", "_end", "_start", "_until")):
        return _instant(datetime.fromisoformat(value))
    return value


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
