"""The counters behind our own numbers."""

from __future__ import annotations

from sqlalchemy import text

from app.infra.db.repository import Repository

_NEXT = text("""
insert into invoice_number_counters as counter (seller, year, last_number)
values (:seller, :year, 1)
on conflict (seller, year) do update set last_number = counter.last_number + 1
returning last_number, last_hash
""")


class NumberRepository(Repository):
    """The counters behind our own invoice numbers."""

    platform = True

    async def claim_next(self, seller: str, year: int) -> tuple[int, str | None]:
        """The next number of *seller* in *year* and the hash of the proof before it, if any; the
        counter stays locked until the unit ends."""
        taken = await self.session.execute(_NEXT, {"seller": seller, "year": year})
        number, head = taken.one()
        return number, head
