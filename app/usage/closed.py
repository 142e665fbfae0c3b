"""What a closed period's usage adds up to; invoices rate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.kernel.periods import Period
from app.pricing.domain import Tokens


@dataclass(frozen=True, slots=True)
class LineProof:
    """Which events a line adds up, and by which prices they cost what they cost.

    `digest` follows from the events alone, in whatever order they are read: each event is hashed
    (SHA-256), the hashes of a day in UTC are sorted, joined and hashed, and the days' hashes,
    earliest first, are joined and hashed once more. What is hashed of an event is text: its id as
    32 hex digits, microseconds since 1970, quantity, tokens in, of them cached, of them written to
    a cache, tokens out, of them reasoning, cost or nothing, and the caller's id, with `|` between.
    """

    event_type: str
    digest: str
    price_ids: tuple[UUID, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosedLine:
    """What one metric's events of one model add up to; provider and model are `''` for none.

    Events from when calls drew on credit are a line apart.
    """

    metric: str
    provider: str
    model: str
    events: int
    quantity: Decimal
    tokens: Tokens
    cost_usd: Decimal
    proof: LineProof | None = None
    """Only where it was asked for."""
    from_credit: bool = False
    """Whether its calls drew on prepaid credit, which has paid for them once and for all."""


@dataclass(frozen=True, slots=True)
class ClosedUsage:
    """A period's usage for rating. Voided events are in none of it."""

    period: Period
    lines: Sequence[ClosedLine]
    digests: Sequence[str] = ()
    """Of the periods that were asked for with it, in their order."""
    from_credit: Sequence[Period] = ()
    """For which of it calls drew on prepaid credit, oldest first."""

    @property
    def cost_usd(self) -> Decimal:
        return sum((line.cost_usd for line in self.lines), Decimal(0))

    def quantity(self, metric: str) -> Decimal:
        """What events of *metric* add up to."""
        return sum((line.quantity for line in self.lines if line.metric == metric), Decimal(0))
