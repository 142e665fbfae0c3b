"""Keeping the price book and answering from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.rates import plain
from app.pricing import public_list, seed
from app.pricing.domain import NewPrice, PriceBook, PriceRow, Quote, Tokens
from app.pricing.errors import PriceExists
from app.pricing.events import PricesAdded
from app.pricing.repository import PriceRepository


class PriceService:
    """Holds the newest known copy of the book in memory; `refresh` when its version is behind."""

    def __init__(
        self, work: UnitOfWork, prices: PriceRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._prices = prices
        self._audit = audit
        self._clock = clock
        self._book = PriceBook(0, (), {}, public_list.look_up)

    @property
    def book(self) -> PriceBook:
        """The copy of the book that this process holds. Whoever stores a cost checks its version."""
        return self._book

    async def open(self) -> None:
        """Seed what the requirements promise and read the book. Safe in two processes at once."""
        await asyncio.to_thread(public_list.load)
        async with self._work.begin_platform():
            added = await self._prices.seed(
                seed.seeded_rows(), seed.ALIASES, seed.FROM_THE_BEGINNING, self._clock.now()
            )
            if added:
                await self._prices.raise_version()
        await self.refresh()

    async def refresh(self) -> PriceBook:
        """Read the book again, unless this process has its newest version."""
        async with self._work.begin_platform():
            # The version first: rows read after it are as new or newer, never older.
            version = await self._prices.version()
            if version != self._book.version:
                self._book = PriceBook(
                    version,
                    await self._prices.list_rows(),
                    await self._prices.list_aliases(),
                    public_list.look_up,
                )
        return self._book

    async def list_for_organization(self, organization_id: OrganizationId | None) -> list[PriceRow]:
        """The platform's prices and the organization's own, by provider and model."""
        book = await self.refresh()
        return sorted(
            (row for row in book.rows if row.organization_id in (None, organization_id)),
            key=lambda row: (row.provider, row.model, row.role, row.effective_from),
        )

    async def list_for_operators(self) -> list[PriceRow]:
        """Every price, of every organization."""
        book = await self.refresh()
        return sorted(
            book.rows, key=lambda row: (row.provider, row.model, row.role, row.effective_from)
        )

    async def estimate(
        self,
        organization_id: OrganizationId | None,
        provider: str,
        model: str,
        tokens: Tokens,
        at: datetime | None,
    ) -> tuple[Decimal | None, Quote | None]:
        """What a call would cost; nothing is stored."""
        book = await self.refresh()
        return book.cost(organization_id, provider, model, tokens, at or self._clock.now())

    async def add(self, prices: Sequence[NewPrice]) -> list[PriceRow]:
        """Add prices, all or none. Repeating it adds nothing; another figure for the same instant
        raises `PriceExists`. Usage that waited for one of them is priced by a job."""
        now = self._clock.now()
        async with self._work.begin_platform():
            version = await self._prices.raise_version()
            rows = [await self._add(price, now) for price in prices]
            self._work.announce(PricesAdded(version))
        await self.refresh()
        return rows

    async def _add(self, price: NewPrice, now: datetime) -> PriceRow:
        row = PriceRow(
            id=new_id(),
            provider=price.provider.strip().lower(),
            model=price.model.strip().lower(),
            role=price.role,
            per_million=price.per_million,
            effective_from=price.effective_from or now,
            organization_id=price.organization_id,
        )
        known = await self._prices.find_row(
            row.provider, row.model, row.role, row.effective_from, row.organization_id
        )
        if known is not None:
            if known.per_million != row.per_million:
                raise PriceExists(provider=row.provider, model=row.model, role=row.role.value)
            return known
        self._prices.add(row, now)
        self._audit.record(
            "prices.added",
            f"{row.provider}/{row.model}",
            organization_id=row.organization_id,
            after={
                "role": row.role,
                "per_million": plain(row.per_million),
                "effective_from": row.effective_from,
            },
        )
        return row
