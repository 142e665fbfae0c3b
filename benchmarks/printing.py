"""A process that prints invoices one after the other while its event loop watches itself.

Bound to one core, so that what it says of the loop is said of the worst place for it. Prints one
line of JSON at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter

from app.invoices.document import DocumentLine, InvoiceDocument, Party
from app.invoices.pdf import Press
from app.kernel.money import Money
from app.kernel.periods import Period
from benchmarks.client import quantile

LINES = 25
"""So many with their periods fill two pages."""

_MONTH = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
_TICK_SECONDS = 0.01


def an_invoice(number: int) -> InvoiceDocument:
    """No two alike: the compiler remembers what it has set."""
    lines = tuple(
        DocumentLine(
            f"Tokens of model {n}, customer {number}",
            Money(1234 * n + number),
            Decimal(1000 * n),
            None,
            _MONTH,
        )
        for n in range(1, LINES + 1)
    )
    total = Money(sum(line.amount.minor for line in lines))
    return InvoiceDocument(
        number=f"INV-2026-{number:06}",
        status="open",
        seller=Party("Seller", ("1 Example Street", "Springfield"), "billing@example.test"),
        customer=Party(f"Customer {number} Ltd", ("2 Example Road", "Shelbyville")),
        lines=lines,
        subtotal=total,
        total=total,
        amount_paid=Money(0),
        amount_due=total,
        created_at=_MONTH.end,
        issued_at=_MONTH.end,
        due_at=_MONTH.end,
        period=_MONTH,
    )


async def _run(count: int) -> None:
    # Before there are threads: they stay where they are born.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    press = Press()
    await press.open()
    await press.invoice(an_invoice(0))
    took: list[float] = []
    waited: list[float] = []

    async def print_all() -> None:
        for number in range(1, count + 1):
            begun = perf_counter()
            await press.invoice(an_invoice(number))
            took.append(perf_counter() - begun)

    print("ready", flush=True)
    sys.stdin.readline()
    begun = perf_counter()
    printing = asyncio.ensure_future(print_all())
    while not printing.done():
        at = perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        waited.append(max(0.0, perf_counter() - at - _TICK_SECONDS))
    elapsed = perf_counter() - begun
    print(
        json.dumps(
            {
                "elapsed": elapsed,
                "took": took,
                "waited_p50_ms": quantile(waited, 0.5) * 1000,
                "waited_p99_ms": quantile(waited, 0.99) * 1000,
            }
        ),
        flush=True,
    )
    # What this process used is read while it lives.
    sys.stdin.readline()
    await press.close()


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1])))
