"""Invoices as Stripe reports them, and documents."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.invoices.document import DocumentLine, InvoiceDocument, Party
from app.kernel.money import Currency, Money
from app.kernel.periods import Period

NOVEMBER = Period(datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 12, 21, 9, tzinfo=UTC))


def a_document(
    customer: str = "Ada Lovelace GmbH",
    *,
    lines: int = 1,
    currency: str = "usd",
    minor: int = 29900,
    **changes: Any,
) -> InvoiceDocument:
    """A paid invoice of equal lines over *minor* each."""
    code = Currency(currency)
    each = Money(minor, code)
    total = Money(minor * lines, code)
    values: dict[str, Any] = {
        "number": "INV-2026-000123",
        "status": "paid",
        "seller": Party("Aragora", ("1 Example Street", "Springfield"), "billing@example.test"),
        "customer": Party(customer),
        "lines": tuple(
            DocumentLine(f"Professional plan, part {n}", each, Decimal(1), each.major, NOVEMBER)
            for n in range(1, lines + 1)
        ),
        "subtotal": total,
        "total": total,
        "amount_paid": total,
        "amount_due": Money.zero(code),
        "created_at": NOVEMBER.start,
        "issued_at": NOVEMBER.start,
        "paid_at": NOVEMBER.start,
        "period": NOVEMBER,
        **changes,
    }
    return InvoiceDocument(**values)
