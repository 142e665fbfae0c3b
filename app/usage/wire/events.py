"""Events as they come over the wire, validated straight from the body's bytes.

FastAPI would parse the body, build a model and hand over the model; a `TypeAdapter` on the raw
bytes does it in one step of compiled code, which the hot routes need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from app.infra.http.schemas import Metadata, aware
from app.kernel.errors import BillingError, Malformed
from app.pricing.domain import SubsetTooLarge
from app.pricing.normalizer import RawUsageMismatch, read_usage
from app.usage.domain import NewEvent
from app.usage.errors import EventIdMissing
from app.usage.wire import cloudevents
from app.usage.wire.quick import quick_batch, quick_event

MAX_BATCH = 1_000

MAX_STREAM = 1_000
"""Usage objects of one streamed response; providers send a handful."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000_000)]


class EventIn(TypedDict, total=False):
    """One usage event."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    id: Annotated[str, Field(min_length=1, max_length=255)]
    type: Name
    quantity: Annotated[Decimal, Field(ge=0, le=10**15, max_digits=28, decimal_places=12)] | None
    occurred_at: Annotated[datetime, Field(strict=True), AfterValidator(aware)] | None
    provider: Name | None
    model: Name | None
    tokens_in: Count | None
    tokens_out: Count | None
    cached_tokens: Count | None
    cache_write_tokens: Count | None
    reasoning_tokens: Count | None
    raw_usage: Metadata | Annotated[list[Metadata], Field(max_length=MAX_STREAM)] | None
    debate_id: Name | None
    agent: Name | None
    workspace: Name | None
    user_id: Name | None
    request_type: Name | None
    rounds: Annotated[int, Field(ge=0, le=1_000_000)] | None
    latency_ms: Annotated[Decimal, Field(ge=0, le=10**12, decimal_places=3)] | None
    metadata: Metadata | None


class BatchIn(TypedDict):
    """Up to 1,000 events; each is answered for itself."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    events: Annotated[list[EventIn], Field(min_length=1, max_length=MAX_BATCH)]


class _LooseBatch(TypedDict):
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH)]


EVENT = TypeAdapter(EventIn)
BATCH = TypeAdapter(BatchIn)
_LOOSE_BATCH = TypeAdapter(_LooseBatch)
_LOOSE_ROWS = TypeAdapter(Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH)])
_ANYTHING = TypeAdapter(Any)


class RowMalformed(Malformed):
    """{where}: {what}."""

    code = "validation_failed"


def read_event(body: bytes, fallback_id: str | None) -> NewEvent:
    """One event; its id may come from the Idempotency-Key header.

    Raises `ValidationError` for its shape and refusals for what is wrong with its figures.
    """
    return quick_event(body, fallback_id) or event_of(EVENT.validate_json(body), fallback_id)


def read_batch(body: bytes) -> tuple[list[str | None], list[NewEvent | BillingError]]:
    """Ids and events of a batch in order; a row that is wrong is an error in its place.

    Raises `ValidationError` when the batch itself has another shape.
    """
    quick = quick_batch(body)
    if quick is not None:
        return quick[0], [*quick[1]]
    try:
        rows: Sequence[Any] = BATCH.validate_json(body)["events"]
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        if any(len(fault["loc"]) < 2 or fault["loc"][0] != "events" for fault in faults):
            raise
        return _apart(_LOOSE_BATCH.validate_json(body)["events"])
    return [row.get("id") for row in rows], [_attempt(row) for row in rows]


def read_cloud_event(body: bytes) -> NewEvent:
    """One CloudEvent. Raises as `read_event`, and `CloudEventMalformed`."""
    return event_of(EVENT.validate_json(to_json(cloudevents.native(_ANYTHING.validate_json(body)))))


def read_cloud_events(body: bytes) -> tuple[list[str | None], list[NewEvent | BillingError]]:
    """A batch of CloudEvents, as `read_batch`."""
    return _apart(_LOOSE_ROWS.validate_json(body), cloudevents.native)


def _apart(
    rows: Sequence[Any], convert: Callable[[Any], Any] = lambda row: row
) -> tuple[list[str | None], list[NewEvent | BillingError]]:
    ids: list[str | None] = []
    events: list[NewEvent | BillingError] = []
    for row in rows:
        named = row.get("id") if isinstance(row, dict) else None
        ids.append(named[:255] if isinstance(named, str) else None)
        try:
            events.append(event_of(EVENT.validate_json(to_json(convert(row)))))
        except BillingError as refusal:
            events.append(refusal)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part)[:100] for part in fault["loc"]) or "event"
            events.append(RowMalformed(where=where, what=fault["msg"][:300]))
    return ids, events


def _attempt(row: EventIn) -> NewEvent | BillingError:
    try:
        return event_of(row)
    except BillingError as refusal:
        return refusal


def event_of(row: EventIn, fallback_id: str | None = None) -> NewEvent:
    """The event that a row of the right shape means. Raises what is wrong with its figures."""
    given: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    key = given.pop("id", None) or fallback_id
    if key is None:
        raise EventIdMissing
    if "type" not in given:
        raise RowMalformed(where="type", what="Field required")
    quantity = given.get("quantity")
    if quantity is not None:
        given["quantity"] = quantity = quantity.normalize()
    latency = given.get("latency_ms")
    if latency is not None:
        given["latency_ms"] = latency.normalize()
    raw_usage = given.get("raw_usage")
    if raw_usage is not None:
        _take_counts(given, raw_usage)
    get = given.get
    tokens_in, tokens_out = get("tokens_in", 0), get("tokens_out", 0)
    cached, written = get("cached_tokens", 0), get("cache_write_tokens", 0)
    if cached + written > tokens_in:
        raise SubsetTooLarge(part="cached_tokens and cache_write_tokens", whole="tokens_in")
    if get("reasoning_tokens", 0) > tokens_out:
        raise SubsetTooLarge(part="reasoning_tokens", whole="tokens_out")
    metadata = get("metadata")
    provider, model = get("provider"), get("model")
    return NewEvent(
        key,
        given["type"],
        to_json(_sorted(given) if metadata or raw_usage else given),
        _ONE if quantity is None else quantity,
        get("occurred_at"),
        provider,
        model,
        tokens_in,
        tokens_out,
        cached,
        written,
        get("reasoning_tokens", 0),
        get("user_id"),
        get("debate_id"),
        get("agent"),
        get("workspace"),
        get("request_type"),
        get("rounds"),
        get("latency_ms"),
        None if metadata is None else to_json(metadata).decode(),
        None if raw_usage is None else to_json(raw_usage).decode(),
    )


_ONE = Decimal(1)


def _take_counts(
    given: dict[str, Any], raw_usage: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Fill in the counts of a provider's usage object, or of a stream's objects in order.

    What was sent beside it must agree.
    """
    for name, count in asdict(read_usage(raw_usage)).items():
        if given.setdefault(name, count) != count:
            raise RawUsageMismatch(what=f"{name} is {count} there")


def _sorted(value: Any) -> Any:
    """The same JSON with its members in order, so that a repeat equals it however it was sent."""
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
