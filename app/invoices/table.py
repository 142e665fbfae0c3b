"""The invoice's lines for a spreadsheet."""

from __future__ import annotations

import csv
import io

from app.invoices.document import InvoiceDocument

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

COLUMNS = (
    "invoice",
    "description",
    "period_start",
    "period_end",
    "quantity",
    "unit_price",
    "amount",
    "currency",
)


def render_csv(document: InvoiceDocument) -> str:
    """One row a line, amounts in major units without separators.

    A text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in document.lines:
        period = line.period
        writer.writerow(
            [
                safe(document.number),
                safe(line.description),
                period.start.isoformat() if period else "",
                period.end.isoformat() if period else "",
                f"{line.quantity:f}" if line.quantity is not None else "",
                f"{line.unit_price:f}" if line.unit_price is not None else "",
                f"{line.amount.major:f}",
                line.amount.currency,
            ]
        )
    return out.getvalue()


def safe(value: str) -> str:
    """The text so that no spreadsheet runs it."""
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
