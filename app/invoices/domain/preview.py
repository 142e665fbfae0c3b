"""What the running window would ask for if it ended now."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from app.invoices.domain.charging import LineKind
from app.kernel.money import Money
from app.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class PreviewedLine:
    """A line as it stands now."""

    kind: LineKind
    description: str
    amount: Money
    period: Period
    quantity: Decimal | None
    unit_amount: Decimal | None


@dataclass(frozen=True, slots=True)
class OwnPreview:
    """Our part of what comes next."""

    period: Period
    lines: tuple[PreviewedLine, ...]
    discount: Money
    tax: Money
    total: Money
    credit: Money
    """Of the credit that is there now, what would be drawn."""

    @property
    def amount_due(self) -> Money:
        return self.total - self.credit
