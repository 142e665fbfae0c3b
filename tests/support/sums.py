"""An invoice's table, added up by somebody who has nothing else."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

BEFORE = ("line", "discount", "tax")
AFTER = (
    "customer_balance",
    "credit_applied",
    "credit_notes",
    "adjustment",
    "voided",
    "amount_paid",
)


def added_up(table: str) -> dict[str, str]:
    """The sum of each type of row of one invoice, checked against the sums that it names."""
    sums: dict[str, Decimal] = {}
    for row in csv.DictReader(io.StringIO(table)):
        sums[row["type"]] = sums.get(row["type"], Decimal(0)) + Decimal(row["amount"])
    assert set(sums) <= {*BEFORE, *AFTER, "tax_included", "total", "amount_due"}
    nothing = Decimal(0)
    assert sum((sums.get(kind, nothing) for kind in BEFORE), nothing) == sums["total"]
    after = sum((sums.get(kind, nothing) for kind in AFTER), sums["total"])
    assert after == sums["amount_due"]
    return {kind: f"{amount:f}" for kind, amount in sums.items()}
