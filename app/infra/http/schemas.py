"""Wire shapes that every feature uses: strict inputs, ids with prefixes, instants with Z, pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from app.kernel.ids import MalformedId, decode_id, encode_id
from app.kernel.pages import DEFAULT_LIMIT, MAX_LIMIT, Page, PageRequest
from app.kernel.rates import plain

T = TypeVar("T")
U = TypeVar("U")

MAX_JSON_DEPTH = 16
MAX_METADATA_KEYS = 50


class InputModel(BaseModel):
    """A request body: unknown fields are refused, text carries no NUL."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class OutputModel(BaseModel):
    """An answer: built by `from_domain`, never from defaults."""

    model_config = ConfigDict(from_attributes=True)


def prefixed_id(prefix: str) -> Any:
    """The type of an id on the wire: a UUID inside, `prefix_…` outside, 422 for another kind."""

    def read(value: object) -> object:
        if isinstance(value, UUID):
            return value
        if not isinstance(value, str):
            raise ValueError(f"an id that starts with {prefix}_")  # noqa: TRY004 - a 422
        try:
            return decode_id(prefix, value)
        except MalformedId as error:
            raise ValueError(str(error)) from None

    def write(value: UUID) -> str:
        return encode_id(prefix, value)

    pattern = f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"
    return Annotated[
        UUID,
        BeforeValidator(read),
        PlainSerializer(write, return_type=str),
        WithJsonSchema({"type": "string", "pattern": pattern}),
    ]


_ACTORS = {"user": "usr", "key": "key"}


def shown_actor(actor: str) -> str:
    """Who did something, as the API names people and keys; `system` and the like as they are."""
    kind, _, named = actor.partition(":")
    try:
        return encode_id(_ACTORS[kind], UUID(named))
    except (KeyError, ValueError):
        return actor


ActorOut = Annotated[str, PlainSerializer(shown_actor, return_type=str)]
"""A person (`usr_…`), an API key (`key_…`), or a part of the service by its name."""


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def rfc3339(value: datetime) -> str:
    """An instant as it is written in answers."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""An instant in an answer: RFC 3339, UTC, `Z`."""


EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def aware(value: datetime) -> datetime:
    """The instant in UTC. Raises `ValueError` without a zone or outside 2000 to 2199."""
    if value.tzinfo is None:
        raise ValueError("an instant needs a time zone, for example 2026-03-14T09:30:00Z")
    # Far years overflow in time zones, months and Postgres; nobody is billed there.
    if not EARLIEST <= value < LATEST:
        raise ValueError("an instant lies in the years 2000 to 2199")
    return _utc(value)


InstantIn = Annotated[datetime, AfterValidator(aware)]
"""An instant in a request: any RFC 3339 zone, kept in UTC."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _start_of_day(value: object) -> object:
    return f"{value}T00:00:00Z" if isinstance(value, str) and _DAY.fullmatch(value) else value


DayOrInstantIn = Annotated[
    datetime,
    BeforeValidator(_start_of_day),
    AfterValidator(aware),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]
"""A day, which is its beginning in UTC, or an instant."""

DecimalString = Annotated[
    Decimal,
    PlainSerializer(plain, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}, mode="serialization"),
]
"""A cost or unit price: a plain decimal string, never a float."""


def _json_depth(value: object, level: int = 1) -> int:
    if level > MAX_JSON_DEPTH:
        return level
    if isinstance(value, dict):
        return max((_json_depth(item, level + 1) for item in value.values()), default=level)
    if isinstance(value, list):
        return max((_json_depth(item, level + 1) for item in value), default=level)
    return level


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    if len(value) > MAX_METADATA_KEYS:
        raise ValueError(f"at most {MAX_METADATA_KEYS} keys")
    if _json_depth(value) > MAX_JSON_DEPTH:
        raise ValueError(f"nested at most {MAX_JSON_DEPTH} deep")
    return value


Metadata = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""Free-form JSON a caller attaches: at most 50 keys, 16 levels deep."""


class PageOut(BaseModel, Generic[T]):
    """A page of a list; pass `next_cursor` as `cursor` to go on."""

    data: list[T]
    has_more: bool
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[U], shape: Callable[[U], T]) -> PageOut[T]:
        return cls(
            data=[shape(item) for item in page.items],
            has_more=page.has_more,
            next_cursor=page.next_cursor,
        )


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]

Success = Annotated[bool, Field(examples=[True])]


class MessageOut(BaseModel):
    """It worked, and what was done."""

    success: Success
    message: str
