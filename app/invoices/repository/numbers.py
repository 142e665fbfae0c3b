"""The counters behind our own numbers."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices.models import InvoiceNumberCounter


class NumberRepository(Repository):
    """The counters behind our own invoice numbers."""

    platform = True

    async def claim_next(self, seller: str, year: int) -> tuple[int, str | None]:
        """The next number of *seller* in *year* and the hash of the proof before it, if any; the
        counter stays locked until the unit ends."""
        counter = insert(InvoiceNumberCounter).values(seller=seller, year=year, last_number=1)
        taken = await self.session.execute(
            counter.on_conflict_do_update(
                index_elements=[InvoiceNumberCounter.seller, InvoiceNumberCounter.year],
                set_={"last_number": InvoiceNumberCounter.last_number + 1},
            ).returning(InvoiceNumberCounter.last_number, InvoiceNumberCounter.last_hash)
        )
        number, head = taken.one()
        return number, head
