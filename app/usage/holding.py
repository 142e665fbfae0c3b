"""What a reservation asks for, what it holds, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.catalog.domain import Aggregation, Measure, Metric
from app.kernel.ids import OrganizationId
from app.usage.domain import ADDITIVE, Meter

COST = "$"
"""The name of what is held of budgets; every other name is a metric's."""

DEFAULT_TTL = timedelta(minutes=10)
LONGEST_TTL = timedelta(hours=24)

_HOLDABLE = ADDITIVE | {Aggregation.UNIQUE}
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Labels:
    """What a call says of itself. A child has its parent's labels where it has none of its own."""

    workspace: str | None = None
    user_id: str | None = None
    debate_id: str | None = None
    agent: str | None = None
    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class NewReservation:
    """A request to hold something for a call that is about to be made.

    *cost_usd* is an estimate; without it the tokens are priced. `key` and `digest` are those of an
    Idempotency-Key and of what came with it.
    """

    metric: str | None
    quantity: Decimal | None
    cost_usd: Decimal | None
    tokens_in: int
    max_tokens_out: int
    labels: Labels
    parent_id: UUID | None
    ttl: timedelta
    key: UUID | None
    digest: UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a reservation, as limits on spending see them."""

    user_id: str
    api_key_id: UUID | None
    may_exceed: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """What a reservation has of one thing; `name` is a metric or `$`.

    `granted` is what it was given, `committed` what its events took, `overshoot` how much of that
    was not held. What is neither remaining nor returned nor taken is with its children.
    """

    name: str
    granted: Decimal
    remaining: Decimal
    returned: Decimal
    committed: Decimal
    overshoot: Decimal


@dataclass(frozen=True, slots=True)
class HeldLimit:
    """A limit on spending that a reservation's cost is held on."""

    limit_id: UUID
    scope: str
    period_start: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it stands."""

    organization_id: OrganizationId
    id: UUID
    parent_id: UUID | None
    state: str
    metric: str | None
    window_start: datetime
    holds: tuple[Hold, ...]
    limits: tuple[HeldLimit, ...]
    events: int
    labels: Labels
    api_key_id: UUID | None
    created_at: datetime
    expires_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, column: Callable[[str], Any]) -> Held:
        """From a row of the table, given a way to its columns."""
        figures = ("names", "granted", "remaining", "returned", "committed", "overshoot")
        limits = ("limit_ids", "limit_scopes", "period_starts")
        labels = ("workspace", "user_id", "debate_id", "agent", "provider", "model")
        return cls(
            OrganizationId(column("organization_id")),
            column("id"),
            column("parent_id"),
            column("state"),
            column("metric"),
            column("window_start"),
            tuple(map(Hold, *(column(name) for name in figures))),
            tuple(map(HeldLimit, *(column(name) for name in limits))),
            column("events"),
            Labels(*(column(name) for name in labels)),
            column("api_key_id"),
            column("created_at"),
            column("expires_at"),
            column("settled_at"),
        )


def amounts_to_hold(meter: Meter, asked: NewReservation) -> list[tuple[Metric, Decimal]]:
    """How much of each metric a call like this would use.

    What a `max` or `latest` metric will be is not a sum of what calls add, so it cannot be held.
    """
    quantity = Decimal(1) if asked.quantity is None else asked.quantity
    found: list[tuple[Metric, Decimal]] = []
    for metric in meter.counts:
        if metric.aggregation not in _HOLDABLE:
            continue
        amount = quantity
        if metric.measure is not Measure.QUANTITY and (
            metric.key != meter.metric or asked.quantity is None
        ):
            amount = _tokens(metric.measure, asked)
        found.append((metric, amount))
    return found


def _tokens(measure: Measure, asked: NewReservation) -> Decimal:
    match measure:
        case Measure.TOKENS_IN:
            return Decimal(asked.tokens_in)
        case Measure.TOKENS_OUT:
            return Decimal(asked.max_tokens_out)
        case _:
            return Decimal(asked.tokens_in + asked.max_tokens_out)
