"""An event as it came, and what becomes of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic_core import from_json

from app.webhooks.errors import EventMalformed

_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TYPE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")
_MAX_TYPE_LENGTH = 255
_MAX_API_VERSION_LENGTH = 100
_LATEST_SECOND = 253_402_300_799
"""The last second of the year 9999, the latest that a datetime can hold."""
THIN_OBJECT = "v2.core.event"


class EventState(StrEnum):
    """Where an event of the inbox stands."""

    PENDING = "pending"
    HANDLED = "handled"
    IGNORED = "ignored"
    """Kept, and of no effect here: another mode, a foreign customer, a type nobody handles."""
    DEAD = "dead"
    """Given up after many attempts; an operator replays it."""


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """What the inbox needs to know of an event before it is handled."""

    event_id: str
    type: str
    object_id: str | None
    api_version: str | None
    livemode: bool
    is_thin: bool
    occurred_at: datetime | None
    payload: str


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event about to be handled."""

    event_id: str
    type: str
    object_id: str | None
    livemode: bool
    occurred_at: datetime
    attempts: int
    payload: str | None = None
    """The signed text, while it is kept. Of what is in it only names of objects are believed."""

    @property
    def kind(self) -> str:
        """The name under which it is handled."""
        return canonical_type(self.type)

    def named(self, *path: str) -> str | None:
        """The id at *path* inside the event's `data`, where an object may stand for its id."""
        found: object = json.loads(self.payload).get("data") if self.payload else None
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found = found.get("id")
        return found if isinstance(found, str) and _ID.fullmatch(found) else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event came to, and in a word why."""

    state: EventState
    note: str | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events an operator wants to see."""

    state: EventState | None = None
    kind: str | None = None
    min_attempts: int = 0
    error: str | None = None
    """A part of what went wrong last."""


HANDLED = Outcome(EventState.HANDLED)


def ignored(because: str) -> Outcome:
    return Outcome(EventState.IGNORED, because)


def read_event(payload: bytes) -> SignedEvent:
    """The event in a verified body: a snapshot event, or a thin one that names its object.

    Raises `EventMalformed` for anything else.
    """
    try:
        text = payload.decode()
        data = _parsed(payload, text)
    except (ValueError, RecursionError):
        raise EventMalformed from None
    if not isinstance(data, dict):
        raise EventMalformed
    is_thin = data.get("object") == THIN_OBJECT
    if not is_thin and data.get("object", "event") != "event":
        raise EventMalformed
    kind = _text(data.get("type"), _TYPE)
    if len(kind) > _MAX_TYPE_LENGTH:
        raise EventMalformed
    api_version = data.get("api_version")
    livemode = data.get("livemode", False)
    if not isinstance(livemode, bool):
        raise EventMalformed
    return SignedEvent(
        event_id=_text(data.get("id"), _ID),
        type=kind,
        object_id=_object_id(data, is_thin=is_thin),
        api_version=api_version
        if isinstance(api_version, str) and _is_plain(api_version)
        else None,
        livemode=livemode,
        is_thin=is_thin,
        occurred_at=_instant(data.get("created")),
        payload=text,
    )


def _parsed(payload: bytes, text: str) -> Any:
    try:
        # In half the time, but strict about lone surrogates, which Stripe may pass on.
        return from_json(payload)
    except ValueError:
        return json.loads(text)


def canonical_type(kind: str) -> str:
    """The name under which a type is handled: a thin `v1.invoice.paid` as its snapshot twin."""
    return kind.removeprefix("v1.")


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise EventMalformed
    return value


def _is_plain(text: str) -> bool:
    return len(text) <= _MAX_API_VERSION_LENGTH and text.isascii() and text.isprintable()


def _object_id(data: dict[str, Any], *, is_thin: bool) -> str | None:
    found: object
    if is_thin:
        found = data.get("related_object")
    else:
        inner = data.get("data")
        if not isinstance(inner, dict):
            raise EventMalformed
        found = inner.get("object")
    value = found.get("id") if isinstance(found, dict) else None
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _instant(value: object) -> datetime | None:
    """Unix seconds in a snapshot event, RFC 3339 in a thin one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if 0 <= value <= _LATEST_SECOND else None
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            return None
        return instant.astimezone(UTC) if instant.tzinfo else None
    return None
