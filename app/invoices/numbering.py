"""Numbers for documents of our own: `INV-2026-000123`, without a gap.

Stripe's invoices keep Stripe's numbers; these are for what this service issues itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.repository.numbers import NumberRepository

INVOICES = "INV"

OURS = "ours"
"""Whose series it is: of whoever runs this service, by whatever name the documents say. A seller
who is renamed goes on counting, or two documents of a year would have one number."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A number just taken. `head` is the hash of the proof of the one before it, where it has
    one."""

    series: str
    year: int
    place: int
    head: str | None

    @property
    def number(self) -> str:
        return f"{self.series}-{self.year}-{self.place:06}"

    @property
    def before(self) -> str:
        return f"{self.series}-{self.year}-{self.place - 1:06}"


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
        return (await self._take(seller, issued_at, series)).number

    async def take_linked(self, seller: str, issued_at: datetime) -> Taken:
        """The next number of *seller*'s invoices, as `take`, and what it is to be chained to."""
        return await self._take(seller, issued_at, INVOICES)

    async def _take(self, seller: str, issued_at: datetime, series: str) -> Taken:
        year = issued_at.astimezone(UTC).year
        async with self._work.begin_platform():
            name = seller if series == INVOICES else f"{series}:{seller}"
            place, head = await self._numbers.claim_next(name, year)
        return Taken(series, year, place, head)
