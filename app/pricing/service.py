"""Keeping the price book and answering from it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.rates import plain
from app.pricing import public_list, seed
from app.pricing.domain import (
    FROM_THE_BEGINNING,
    Leap,
    Markup,
    ModelPrices,
    NewMarkup,
    NewPrice,
    PriceBook,
    PriceRow,
    Quote,
    Tokens,
    is_leap,
)
from app.pricing.errors import MarkupExists, PriceExists, PriceNeedsConfirmation
from app.pricing.events import PricesAdded
from app.pricing.repository import PriceRepository

_ONE = Decimal(1)


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
                seed.seeded_rows(), seed.ALIASES, FROM_THE_BEGINNING, self._clock.now()
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
                self._book = await self._read(version)
        return self._book

    async def in_force(
        self,
        organization_id: OrganizationId | None,
        provider: str | None = None,
        model: str | None = None,
        at: datetime | None = None,
    ) -> list[ModelPrices]:
        """What every model of the book costs the organization at *at*, else now.

        With a provider and a model, that one alone: also one that only the public list knows.
        """
        book, at = await self.refresh(), at or self._clock.now()
        names = book.names(organization_id)
        if provider is not None:
            names = [name for name in names if name[0] == provider.strip().lower()]
        if model is not None:
            names = [name for name in names if name[1] == model.strip().lower()]
            if provider is not None:
                names = [(provider.strip().lower(), model.strip().lower())]
        found: list[ModelPrices] = []
        for name in names:
            quote = book.quote(organization_id, *name, at)
            if quote is not None:
                coming = {
                    role: book.after(organization_id, (*name, role), at) for role in quote.roles
                }
                found.append(ModelPrices(*name, quote, coming))
        return found

    async def list_for_operators(self) -> PriceBook:
        """Every price, markup and alias, of every organization."""
        return await self.refresh()

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

    async def add(self, prices: Sequence[NewPrice], *, confirm: bool = False) -> list[PriceRow]:
        """Add prices, all or none. Repeating it adds nothing; another figure for the same instant
        raises `PriceExists`. Usage that waited for one of them is priced by a job.

        A price ten times its predecessor, or a tenth of it, raises `PriceNeedsConfirmation`
        unless it is confirmed. The first price of a model that had none holds from the beginning,
        so that it prices what waits for it; any other from now on.
        """
        now = self._clock.now()
        rows: list[PriceRow] = []
        leaps: list[Leap] = []
        async with self._work.begin_platform():
            # Whoever else writes prices waits here, so the book read next is the last word.
            version = await self._prices.raise_version()
            book = await self._read(version)
            for row in sorted((_row(price, book, now) for price in prices), key=_when):
                known = _known(row, (*book.of_name(row), *rows))
                if known is not None:
                    if known.per_million != row.per_million:
                        raise PriceExists(
                            provider=row.provider, model=row.model, role=row.role.value
                        )
                    rows.append(known)
                    continue
                predecessor = book.before(row, rows)
                if predecessor is not None and is_leap(row.per_million, predecessor):
                    leaps.append(Leap(row, predecessor))
                self._note(row, now)
                rows.append(row)
            if leaps and not confirm:
                raise _unconfirmed(leaps)
            self._work.announce(PricesAdded(version))
        await self.refresh()
        return rows

    async def add_markup(self, new: NewMarkup, *, confirm: bool = False) -> Markup:
        """Put a percentage on what an organization would otherwise pay, from an instant on.

        Usage that has its price already keeps it. Raises `MarkupExists` for another figure at the
        same instant and `PriceNeedsConfirmation` when it makes prices leap.
        """
        now = self._clock.now()
        markup = Markup(
            id=new_id(),
            organization_id=new.organization_id,
            provider=new.provider.strip().lower(),
            model=new.model.strip().lower(),
            percent=new.percent,
            effective_from=new.effective_from or now,
        )
        async with self._work.begin_platform():
            version = await self._prices.raise_version()
            for known in (await self._read(version)).markups:
                if replace(known, id=markup.id, percent=markup.percent) == markup:
                    if known.percent != markup.percent:
                        raise MarkupExists(provider=markup.provider, model=markup.model)
                    return known
            if is_leap(markup.applied_to(_ONE), _ONE) and not confirm:
                raise PriceNeedsConfirmation(
                    what=f"A price with {markup.label}",
                    rows=[{"provider": markup.provider, "model": markup.model}],
                )
            self._prices.add_markup(markup, now)
            self._audit.record(
                "prices.markup_added",
                f"{markup.provider}/{markup.model}",
                organization_id=markup.organization_id,
                after={
                    "percent": plain(markup.percent),
                    "effective_from": markup.effective_from,
                },
            )
            self._work.announce(PricesAdded(version))
        await self.refresh()
        return markup

    async def set_alias(self, provider: str, alias: str, model: str) -> None:
        """Make *alias* another name of *model*; usage that waited under that name is priced."""
        provider, alias, model = (each.strip().lower() for each in (provider, alias, model))
        async with self._work.begin_platform():
            version = await self._prices.raise_version()
            before = (await self._prices.list_aliases()).get((provider, alias))
            if before != model:
                await self._prices.set_alias(provider, alias, model)
                self._audit.record(
                    "prices.alias_set",
                    f"{provider}/{alias}",
                    organization_id=None,
                    before={"model": before},
                    after={"model": model},
                )
                self._work.announce(PricesAdded(version))
        await self.refresh()

    async def _read(self, version: int) -> PriceBook:
        return PriceBook(
            version,
            await self._prices.list_rows(),
            await self._prices.list_aliases(),
            public_list.look_up,
            await self._prices.list_markups(),
        )

    def _note(self, row: PriceRow, now: datetime) -> None:
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


def _row(price: NewPrice, book: PriceBook, now: datetime) -> PriceRow:
    provider, model = price.provider.strip().lower(), price.model.strip().lower()
    effective_from = price.effective_from
    if effective_from is None:
        quote = book.quote(price.organization_id, provider, model, now)
        is_first = quote is None or quote.of(price.role) is None
        effective_from = FROM_THE_BEGINNING if is_first else now
    return PriceRow(
        id=new_id(),
        provider=provider,
        model=model,
        role=price.role,
        per_million=price.per_million,
        effective_from=effective_from,
        organization_id=price.organization_id,
    )


def _known(row: PriceRow, among: Sequence[PriceRow]) -> PriceRow | None:
    """The row that has the place of *row* already, whatever it costs there."""
    for each in among:
        if replace(each, id=row.id, per_million=row.per_million) == row:
            return each
    return None


def _when(row: PriceRow) -> datetime:
    return row.effective_from


def _unconfirmed(leaps: Sequence[Leap]) -> PriceNeedsConfirmation:
    first = leaps[0]
    return PriceNeedsConfirmation(
        what=(
            f"{first.row.provider}/{first.row.model} {first.row.role.value}: "
            f"{plain(first.row.per_million)} after {plain(first.predecessor)}, which"
        ),
        rows=[
            {
                "provider": leap.row.provider,
                "model": leap.row.model,
                "role": leap.row.role.value,
                "price_per_million": plain(leap.row.per_million),
                "predecessor_per_million": plain(leap.predecessor),
            }
            for leap in leaps
        ],
    )
