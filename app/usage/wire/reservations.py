"""Reservations as they come over the wire, and as they are answered."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic_core import to_json
from typing_extensions import TypedDict

from app.kernel.ids import MalformedId, decode_id, encode_id
from app.kernel.principal import Permission, Principal
from app.kernel.rates import plain
from app.usage.domain import NewEvent
from app.usage.holding import COST, DEFAULT_TTL, LONGEST_TTL, Caller, Held, Labels, NewReservation
from app.usage.schemas.usage import rfc3339, whole_or_text
from app.usage.spend import CREDIT
from app.usage.wire.events import Count, EventIn, Name, RowMalformed, event_of

_LONGEST = int(LONGEST_TTL.total_seconds())


def _parent(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return decode_id("res", value)
    except MalformedId as error:
        raise ValueError(str(error)) from None


ParentId = Annotated[
    UUID,
    BeforeValidator(_parent),
    WithJsonSchema({"type": "string", "pattern": "^res_[0-7][0-9a-hjkmnp-tv-z]{25}$"}),
]


class CommitIn(EventIn, total=False):
    """The event of a call that was reserved for. What it does not say, the reservation did."""

    final: bool | None


class ReserveIn(TypedDict, total=False):
    """What a call is going to use, at most: a metric, a cost, or both."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    metric: Name | None
    quantity: Annotated[Decimal, Field(ge=0, le=10**15, max_digits=28, decimal_places=12)] | None
    estimated_cost_usd: (
        Annotated[Decimal, Field(ge=0, le=10**12, max_digits=30, decimal_places=12)] | None
    )
    provider: Name | None
    model: Name | None
    tokens_in: Count | None
    max_tokens_out: Count | None
    debate_id: Name | None
    workspace: Name | None
    user_id: Name | None
    agent: Name | None
    parent_id: ParentId | None
    ttl_seconds: Annotated[int, Field(ge=1, le=_LONGEST)] | None


COMMIT = TypeAdapter(CommitIn)
RESERVE = TypeAdapter(ReserveIn)


def read_reservation(body: bytes, caller: str, key: str | None) -> NewReservation:
    """What is asked for. *key* is an Idempotency-Key, which is *caller*'s own.

    Raises `ValidationError` for its shape.
    """
    row = RESERVE.validate_json(body)
    given: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
    get = given.get
    metric, quantity = get("metric"), get("quantity")
    if quantity is not None and metric is None:
        raise RowMalformed(where="metric", what="Field required with a quantity")
    if (
        get("estimated_cost_usd") is None
        and {"provider", "model", "tokens_in"} <= given.keys()
        and "max_tokens_out" not in given
    ):
        raise RowMalformed(
            where="max_tokens_out",
            what="Field required: what is held is the most a call may cost; 0 for one that only reads",
        )
    seconds = get("ttl_seconds")
    return NewReservation(
        metric,
        quantity,
        get("estimated_cost_usd"),
        get("tokens_in", 0),
        get("max_tokens_out", 0),
        Labels(
            get("workspace"),
            get("user_id"),
            get("debate_id"),
            get("agent"),
            get("provider"),
            get("model"),
        ),
        get("parent_id"),
        DEFAULT_TTL if seconds is None else timedelta(seconds=seconds),
        None if key is None else _digest(f"{caller}\n{key}".encode()),
        _digest(to_json({name: _plain(given[name]) for name in sorted(given)})),
    )


def read_commit(
    body: bytes, fallback_id: str | None, event_type: str | None, labels: Labels
) -> tuple[NewEvent, bool]:
    """The event, with what the reservation said where it says nothing, and whether it is final.

    Raises `ValidationError` for its shape and refusals for what is wrong with its figures.
    """
    row: dict[str, Any] = dict(COMMIT.validate_json(body))
    is_final = row.pop("final", None) is not False
    for name, value in (
        ("type", event_type),
        ("workspace", labels.workspace),
        ("user_id", labels.user_id),
        ("debate_id", labels.debate_id),
        ("agent", labels.agent),
        ("provider", labels.provider),
        ("model", labels.model),
    ):
        if value is not None and row.get(name) is None:
            row[name] = value
    return event_of(cast("EventIn", row), fallback_id), is_final


def caller_of(principal: Principal) -> Caller:
    """The caller as limits on spending see them."""
    return Caller(
        encode_id("usr", principal.user_id),
        principal.api_key_id,
        Permission.BUDGETS_EXCEED in principal.permissions,
    )


def _plain(value: Any) -> Any:
    # The same figure in another spelling is the same request.
    return plain(value) if isinstance(value, Decimal) else value


def _digest(content: bytes) -> UUID:
    return UUID(bytes=hashlib.blake2b(content, digest_size=16).digest())


def reservation_json(held: Held, figure: str | None = None) -> dict[str, Any]:
    """`ReservationOut`. With *figure*, `held` lists that figure instead of what remains."""
    labels = held.labels
    return {
        "id": encode_id("res", held.id),
        "parent_id": None if held.parent_id is None else encode_id("res", held.parent_id),
        "state": held.state,
        "metric": held.metric,
        "held": held_json(held, figure or "remaining"),
        "amounts": [
            {
                "name": "cost_usd" if hold.name == COST else hold.name,
                "granted": plain(hold.granted),
                "remaining": plain(hold.remaining),
                "returned": plain(hold.returned),
                "committed": plain(hold.committed),
                "overshoot": plain(hold.overshoot),
            }
            for hold in held.holds
        ],
        "events": held.events,
        "debate_id": labels.debate_id,
        "workspace": labels.workspace,
        "user_id": labels.user_id,
        "agent": labels.agent,
        "provider": labels.provider,
        "model": labels.model,
        "created_at": rfc3339(held.created_at),
        "expires_at": rfc3339(held.expires_at),
        "settled_at": None if held.settled_at is None else rfc3339(held.settled_at),
    }


def held_json(held: Held, figure: str) -> list[dict[str, Any]]:
    """An entry for each budget, quota and credit that carries some of it, from the inside out."""
    found: list[dict[str, Any]] = []
    credit: list[dict[str, Any]] = []
    for hold in held.holds:
        amount: Decimal = getattr(hold, figure)
        if amount == 0:
            continue
        if hold.name != COST:
            found.append(
                {
                    "kind": "quota",
                    "metric": hold.name,
                    "window_start": rfc3339(held.window_start),
                    "quantity": whole_or_text(amount),
                }
            )
            continue
        found += [
            {
                "kind": "budget",
                "budget_id": encode_id("bud", limit.limit_id),
                "scope": limit.scope,
                "period_start": rfc3339(limit.period_start),
                "amount_usd": plain(amount),
            }
            for limit in held.limits
            if limit.scope != CREDIT
        ]
        if any(limit.scope == CREDIT for limit in held.limits):
            credit.append({"kind": "credit", "amount_usd": plain(amount)})
    return found + credit


def amounts_json(held: Held, figure: str) -> list[dict[str, Any]]:
    """One figure of everything that is held, where there is any of it."""
    return [
        {"kind": "cost", "amount_usd": plain(amount)}
        if hold.name == COST
        else {"kind": "quota", "metric": hold.name, "quantity": whole_or_text(amount)}
        for hold in held.holds
        if (amount := getattr(hold, figure)) > 0
    ]
