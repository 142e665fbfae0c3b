"""Single fields of Stripe's objects: ids that may be expanded, instants in Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def id_of(value: object) -> str | None:
    """The id of what may be an id, an expanded object, or nothing."""
    if isinstance(value, Mapping):
        found = value.get("id")
        return found if isinstance(found, str) else None
    return value if isinstance(value, str) else None


def required_id(value: object) -> str:
    found = id_of(value)
    if found is None:
        raise KeyError("id")
    return found


def required_instant(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)


def instant(value: int | None) -> datetime | None:
    return None if value is None else required_instant(value)
