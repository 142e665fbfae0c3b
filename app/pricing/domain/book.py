"""The price book: all prices at one version, and the order in which they are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from app.kernel.ids import OrganizationId
from app.pricing.domain.prices import (
    ANY,
    FROM_THE_BEGINNING,
    ListedPrice,
    Markup,
    Origin,
    PriceRow,
    PriceSource,
    PublicList,
    Quote,
    RolePrice,
)
from app.pricing.domain.tokens import TokenRole, Tokens

# Rule 4: without an own price and without one in the public list.
CACHE_READ_SHARE = Decimal("0.1")
CACHE_WRITE_SHARE = Decimal("1.25")

_REMEMBERED = 20_000

Dated = TypeVar("Dated", PriceRow, Markup)

Key = tuple[OrganizationId | None, str, str]
"""Whose price it is (nobody's: everybody's), provider, model."""


class PriceBook:
    """All prices at one version of the book: a value, built once and only read.

    Lookup order (rule 4): the organization's own price → the exact model → its alias → the
    provider's default → the public list → unknown. Each role takes the first price in force at
    the event's instant; a cached role never takes the provider's default when the model itself
    has a price. Of an organization's own prices and markups under one name the latest holds.
    """

    def __init__(
        self,
        version: int,
        rows: Sequence[PriceRow],
        aliases: Mapping[tuple[str, str], str],
        public: PublicList,
        markups: Sequence[Markup] = (),
    ) -> None:
        self.version = version
        self.rows = tuple(rows)
        self.aliases = aliases
        self.markups = tuple(markups)
        self._public = public
        self._by_model: dict[Key, dict[TokenRole, list[PriceRow]]] = {}
        self._markups: dict[Key, list[Markup]] = {}
        self._changes: dict[Key, list[datetime]] = {}
        for row in _latest_first(self.rows):
            key = (row.organization_id, row.provider, row.model)
            self._by_model.setdefault(key, {}).setdefault(row.role, []).append(row)
            self._changes.setdefault(key, []).append(row.effective_from)
        for markup in _latest_first(self.markups):
            key = (markup.organization_id, markup.provider, markup.model)
            self._markups.setdefault(key, []).append(markup)
            self._changes.setdefault(key, []).append(markup.effective_from)
        self._with_own_prices = {key[0] for key in self._changes if key[0] is not None}
        self._remembered: dict[Key, list[_Stretch]] = {}

    def quote(
        self, organization_id: OrganizationId | None, provider: str, model: str, at: datetime
    ) -> Quote | None:
        """What *model* costs for the organization at *at*; `None` when nobody knows."""
        owner = None
        if self._with_own_prices and organization_id in self._with_own_prices:
            owner = organization_id
        key = (owner, provider, model)
        stretches = self._remembered.get(key)
        if stretches is None:
            if len(self._remembered) > _REMEMBERED:
                self._remembered.clear()
            stretches = self._stretches(owner, provider.strip().lower(), model.strip().lower())
            self._remembered[key] = stretches
        for stretch in stretches:
            if stretch.start is None or at >= stretch.start:
                return stretch.always or self._at(stretch, at)
        return None

    def cost(
        self,
        organization_id: OrganizationId | None,
        provider: str,
        model: str,
        tokens: Tokens,
        at: datetime,
    ) -> tuple[Decimal | None, Quote | None]:
        """The exact cost of a call and the quote it rests on; both `None` when nobody knows."""
        quote = self.quote(organization_id, provider, model, at)
        return (None, None) if quote is None else (quote.cost(tokens), quote)

    def names(self, organization_id: OrganizationId | None) -> list[tuple[str, str]]:
        """Every provider and model with a row of its own, for this organization or for all."""
        return sorted({key[1:] for key in self._by_model if key[0] in (None, organization_id)})

    def of_name(self, row: PriceRow) -> Sequence[PriceRow]:
        """The rows of the name and role of *row*, latest first."""
        key = (row.organization_id, row.provider, row.model)
        return self._by_model.get(key, {}).get(row.role, ())

    def before(self, row: PriceRow, among: Iterable[PriceRow] = ()) -> Decimal | None:
        """The price that *row* replaces: of the same name and role, else what held otherwise.

        *among* are rows that are being added with it. A provider's default and a share of the
        input are guesses; nothing is measured by them.
        """
        earlier = [
            each
            for each in (*self.of_name(row), *among)
            if _named(each) == _named(row) and each.effective_from < row.effective_from
        ]
        if earlier:
            return max(earlier, key=lambda each: each.effective_from).per_million
        quote = self.quote(row.organization_id, row.provider, row.model, row.effective_from)
        price = quote.of(row.role) if quote else None
        if price is None or price.origin is None or price.origin.is_derived:
            return None
        guessed = price.origin.source is PriceSource.PROVIDER_DEFAULT and row.model != ANY
        return None if guessed else price.per_million

    def after(
        self, organization_id: OrganizationId | None, row: tuple[str, str, TokenRole], at: datetime
    ) -> PriceRow | None:
        """The next price of this very name and role to come into force after *at*."""
        provider, model, role = row
        for owner in (organization_id, None):
            rows = self._by_model.get((owner, provider, model), {}).get(role, ())
            coming = [each for each in rows if each.effective_from > at]
            if coming:
                return coming[-1]
        return None

    def _at(self, stretch: _Stretch, at: datetime) -> Quote | None:
        """The list has prices by date and by time of day: asked for each instant, composed once."""
        listed = self._listed(stretch.provider, stretch.model, at)
        if listed not in stretch.composed:
            stretch.composed[listed] = stretch.found.compose(listed)
        return stretch.composed[listed]

    def _stretches(self, owner: OrganizationId | None, provider: str, model: str) -> list[_Stretch]:
        own, common = self._levels(owner, provider, model)
        changes = {
            at for key in (*own, *(key for _, key in common)) for at in self._changes.get(key, ())
        }
        starts: list[datetime | None] = [*sorted(changes, reverse=True), None]
        stretches = [
            _Stretch(start, provider, model, self._find(own, common, start)) for start in starts
        ]
        for stretch in stretches:
            listed = self._listed(provider, model, stretch.start or FROM_THE_BEGINNING)
            if stretch.found.needs_no_list or (listed is not None and listed.is_timeless):
                stretch.always = stretch.found.compose(listed)
        return stretches

    def _listed(self, provider: str, model: str, at: datetime) -> ListedPrice | None:
        """What the list says of the name, else of the model that it is another name of."""
        if model == ANY:
            return None
        found = self._public(provider, model, at)
        target = self.aliases.get((provider, model))
        if found is None and target is not None:
            return self._public(provider, target, at)
        return found

    def _levels(
        self, owner: OrganizationId | None, provider: str, model: str
    ) -> tuple[list[Key], list[tuple[PriceSource, Key]]]:
        target = self.aliases.get((provider, model))
        names = [model] if target is None else [model, target]
        own: list[Key] = []
        if owner is not None:
            own = [*((owner, provider, name) for name in (*names, ANY)), (owner, ANY, ANY)]
        exact = PriceSource.PROVIDER_DEFAULT if model == ANY else PriceSource.BOOK
        common: list[tuple[PriceSource, Key]] = [(exact, (None, provider, model))]
        if target is not None:
            common.append((PriceSource.ALIAS, (None, provider, target)))
        if model != ANY:
            common.append((PriceSource.PROVIDER_DEFAULT, (None, provider, ANY)))
        return own, common

    def _find(
        self,
        own: Sequence[Key],
        common: Sequence[tuple[PriceSource, Key]],
        at: datetime | None,
    ) -> _Found:
        found = _Found()
        if at is None:
            return found
        for role in TokenRole:
            for level, key in enumerate(own):
                row = _in_force(self._by_model.get(key, {}).get(role, ()), at)
                markup = _in_force(self._markups.get(key, ()), at)
                if row and (markup is None or row.effective_from >= markup.effective_from):
                    found.prices[role] = (level, _price(row, PriceSource.OVERRIDE))
                    break
                if markup is not None:
                    found.markups[role] = markup
                    break
            if role in found.prices:
                continue
            for level, (source, key) in enumerate(common, len(own)):
                row = _in_force(self._by_model.get(key, {}).get(role, ()), at)
                if row is not None:
                    found.prices[role] = (level, _price(row, source))
                    break
        return found


@dataclass(slots=True)
class _Found:
    """What the book itself says about a model in a stretch of time, before the list is asked."""

    prices: dict[TokenRole, tuple[int, RolePrice]] = field(default_factory=dict)
    markups: dict[TokenRole, Markup] = field(default_factory=dict)

    @property
    def needs_no_list(self) -> bool:
        named = [
            self.prices[role][0]
            for role in (TokenRole.INPUT, TokenRole.OUTPUT)
            if role in self.prices
        ]
        cached = self.prices.get(TokenRole.CACHE_READ)
        return len(named) == 2 and cached is not None and cached[0] <= min(named)

    def compose(self, listed: ListedPrice | None) -> Quote | None:
        """The whole quote: what the book does not say comes from the list, or from the input."""
        own = {
            role: price
            for role, (_, price) in self.prices.items()
            if price.origin and price.origin.source is PriceSource.OVERRIDE
        }
        named = [
            self.prices[role] for role in (TokenRole.INPUT, TokenRole.OUTPUT) if role in self.prices
        ]
        if not named and listed is None:
            return None
        read = self._stated(TokenRole.INPUT) or _of(listed, "input")
        output = self._stated(TokenRole.OUTPUT) or _of(listed, "output")
        base = {TokenRole.INPUT: read, TokenRole.OUTPUT: output}
        # A cached price of a more general name is another model's.
        level = min((level for level, _ in named), default=None)
        base[TokenRole.CACHE_READ] = self._stated(TokenRole.CACHE_READ, level) or _of(
            listed, "cache_read"
        )
        base[TokenRole.CACHE_WRITE] = self._stated(TokenRole.CACHE_WRITE, level)
        if TokenRole.INPUT not in self.prices:
            # The list counts cached tokens as input where it has no price of their own for them.
            base[TokenRole.CACHE_READ] = base[TokenRole.CACHE_READ] or read
            base[TokenRole.CACHE_WRITE] = (
                base[TokenRole.CACHE_WRITE] or _of(listed, "cache_write") or read
            )
        elif read is not None:
            for role, share in _SHARES.items():
                if base[role] is None:
                    base[role] = derived = read.derived(share)
                    if TokenRole.INPUT in own:
                        own[role] = derived
        prices = {
            role: price if price is None or role in own else price.marked_up(self.markups.get(role))
            for role, price in base.items()
        }
        by_list = (
            listed is not None and not {TokenRole.INPUT, TokenRole.OUTPUT} <= self.prices.keys()
        )
        return Quote(
            *self._origin(prices, min(named, default=None, key=lambda pair: pair[0]), listed),
            input=prices[TokenRole.INPUT],
            cache_read=prices[TokenRole.CACHE_READ],
            cache_write=prices[TokenRole.CACHE_WRITE],
            output=prices[TokenRole.OUTPUT],
            reasoning=self._reasoning(listed),
            per_call=self._per_call(listed) if by_list else Decimal(0),
        )

    def _stated(self, role: TokenRole, level: int | None = None) -> RolePrice | None:
        found = self.prices.get(role)
        if found is None or (level is not None and found[0] > level):
            return None
        return found[1]

    def _reasoning(self, listed: ListedPrice | None) -> RolePrice | None:
        if TokenRole.OUTPUT in self.prices or listed is None or listed.reasoning is None:
            return None
        return listed.reasoning.marked_up(self.markups.get(TokenRole.OUTPUT))

    def _per_call(self, listed: ListedPrice | None) -> Decimal:
        fee = listed.per_call if listed is not None else Decimal(0)
        markup = self.markups.get(TokenRole.INPUT)
        return fee if markup is None else markup.applied_to(fee)

    def _origin(
        self,
        prices: Mapping[TokenRole, RolePrice | None],
        named: tuple[int, RolePrice] | None,
        listed: ListedPrice | None,
    ) -> tuple[PriceSource, str]:
        """Which step decided, and its name; an organization's markup is named with what it is on."""
        if named is not None and named[1].origin is not None:
            source, reference = named[1].origin.source, named[1].origin.reference
        else:
            source, reference = PriceSource.PUBLIC_LIST, listed.reference if listed else ""
        markups = [price.markup for price in prices.values() if price and price.markup]
        if markups and source is not PriceSource.OVERRIDE:
            return PriceSource.OVERRIDE, f"{reference} {markups[0].label}"
        return source, reference


_SHARES = {TokenRole.CACHE_READ: CACHE_READ_SHARE, TokenRole.CACHE_WRITE: CACHE_WRITE_SHARE}


@dataclass(slots=True)
class _Stretch:
    """From `start` on (`None`: always before) this was found; `always` where no list can differ."""

    start: datetime | None
    provider: str
    model: str
    found: _Found
    always: Quote | None = None
    composed: dict[ListedPrice | None, Quote | None] = field(default_factory=dict)


def _latest_first(rows: Iterable[Dated]) -> list[Dated]:
    return sorted(rows, key=lambda row: row.effective_from, reverse=True)


def _in_force(rows: Iterable[Dated], at: datetime) -> Dated | None:
    return next((row for row in rows if row.effective_from <= at), None)


def _named(row: PriceRow) -> tuple[OrganizationId | None, str, str, TokenRole]:
    return row.organization_id, row.provider, row.model, row.role


def _of(listed: ListedPrice | None, name: str) -> RolePrice | None:
    price: RolePrice | None = getattr(listed, name, None)
    return price


def _price(row: PriceRow, source: PriceSource) -> RolePrice:
    origin = Origin(source, f"{row.provider}/{row.model}", row.effective_from)
    return RolePrice(row.per_million, row_id=row.id, origin=origin)
