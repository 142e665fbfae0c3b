"""The invoice for a spreadsheet: its lines and the sums below them."""

from __future__ import annotations

import csv
import io

from app.invoices.document import (
    InvoiceDocument,
    Step,
    steps_after,
    steps_before,
    tax_included,
)
from app.kernel.money import Money

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
    "type",
)


def render_csv(document: InvoiceDocument) -> str:
    """One row a line and one a sum, amounts in major units without separators; `type` says which.

    What is of the types `line`, `discount` and `tax` adds up to `total`; that and the rows between
    it and `amount_due` add up to `amount_due`, so what was paid is negative. `tax_included` is a
    part of the lines already. A text that a spreadsheet would run as a formula begins with an
    apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    number = safe(document.number)
    for line in document.lines:
        period = line.period
        writer.writerow(
            [
                number,
                safe(line.description),
                period.start.isoformat() if period else "",
                period.end.isoformat() if period else "",
                f"{line.quantity:f}" if line.quantity is not None else "",
                f"{line.unit_price:f}" if line.unit_price is not None else "",
                *_amount(line.amount),
                "line",
            ]
        )
    for step in _sums(document):
        words = safe(step.label)
        writer.writerow([number, words, "", "", "", "", *_amount(step.amount), step.kind])
    return out.getvalue()


def _sums(document: InvoiceDocument) -> list[Step]:
    labels = document.labels
    included = tax_included(document)
    name = labels.tax_included.format(tax=labels.tax)
    return [
        *([Step("tax_included", name, included)] if included else []),
        *steps_before(document),
        Step("total", labels.total, document.total),
        *steps_after(document),
        Step("amount_due", labels.amount_due, document.amount_due),
    ]


def _amount(amount: Money) -> tuple[str, str]:
    return f"{amount.major:f}", amount.currency


def safe(value: str) -> str:
    """The text so that no spreadsheet runs it."""
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
