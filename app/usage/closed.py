"""What a closed period's usage adds up to; invoices rate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.kernel.periods import Period
from app.pricing.domain import Tokens


@dataclass(frozen=True, slots=True)
class ClosedLine:
    """What one metric's events of one model add up to; provider and model are `''` for none."""

    metric: str
    provider: str
    model: str
    events: int
    quantity: Decimal
    tokens: Tokens
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class ClosedUsage:
    """A period's usage for rating. Voided events are in none of it."""

    period: Period
    lines: Sequence[ClosedLine]

    @property
    def cost_usd(self) -> Decimal:
        return sum((line.cost_usd for line in self.lines), Decimal(0))

    def quantity(self, metric: str) -> Decimal:
        """What events of *metric* add up to."""
        return sum((line.quantity for line in self.lines if line.metric == metric), Decimal(0))
