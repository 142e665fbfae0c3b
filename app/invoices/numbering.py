"""Numbers for documents of our own: `INV-2026-000123`, without a gap.

Stripe's invoices keep Stripe's numbers; these are for what this service issues itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.repository.numbers import NumberRepository

INVOICES = "INV"


class InvoiceNumbers:
    """A series per seller and calendar year (UTC)."""

    def __init__(self, work: UnitOfWork, numbers: NumberRepository) -> None:
        self._work = work
        self._numbers = numbers

    async def take(self, seller: str, issued_at: datetime, series: str = INVOICES) -> str:
        """The next number of *seller*, in the caller's unit: it is used if that commits.

        Credit notes have a *series* of their own beside the invoices'.

        A unit that rolls back gives its number to the next one, so nothing is skipped. Whoever
        comes meanwhile waits, so take it last. A sequence would be faster and leave gaps.
        """
        year = issued_at.astimezone(UTC).year
        async with self._work.begin_platform():
            name = seller if series == INVOICES else f"{series}:{seller}"
            number = await self._numbers.claim_next(name, year)
        return f"{series}-{year}-{number:06}"
