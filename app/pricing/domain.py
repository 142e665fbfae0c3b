"""Token roles, price rows and the arithmetic of a call. Everything here is exact and pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from app.kernel.errors import Malformed
from app.kernel.ids import OrganizationId
from app.kernel.rates import EXACT

ANY_MODEL = "*"

# Rule 4: without an own price and without one in the public list.
CACHE_READ_SHARE = Decimal("0.1")
CACHE_WRITE_SHARE = Decimal("1.25")

_PER_MILLION = Decimal("0.000001")
_ZERO = Decimal(0)


class SubsetTooLarge(Malformed):
    """{part} cannot be more than {whole}, of which they are a part."""

    code = "subset_too_large"


class Role(StrEnum):
    """What a token did. Inside, roles are disjoint."""

    INPUT = "input"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"


class PriceSource(StrEnum):
    """Which step of the lookup found the price."""

    OVERRIDE = "override"
    BOOK = "book"
    ALIAS = "alias"
    PROVIDER_DEFAULT = "provider_default"
    PUBLIC_LIST = "public_list"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a call by disjoint role."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def total_input(self) -> int:
        return self.input + self.cache_read + self.cache_write


def tokens_of(
    tokens_in: int,
    tokens_out: int,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> Tokens:
    """Split what callers send, where cached tokens are a part of `tokens_in`.

    15,000 in with 2,000 cached is 13,000 + 2,000. Raises `SubsetTooLarge` when a part is larger
    than its whole.
    """
    if cached_tokens + cache_write_tokens > tokens_in:
        raise SubsetTooLarge(part="cached_tokens and cache_write_tokens", whole="tokens_in")
    if reasoning_tokens > tokens_out:
        raise SubsetTooLarge(part="reasoning_tokens", whole="tokens_out")
    return Tokens(
        tokens_in - cached_tokens - cache_write_tokens,
        cached_tokens,
        cache_write_tokens,
        tokens_out,
    )


@dataclass(frozen=True, slots=True)
class RolePrice:
    """A price per million tokens; above a step of total input tokens the step's price holds for all.

    `row_id` is the price row it came from; a price out of the public list has none.
    """

    per_million: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()
    row_id: UUID | None = None

    def at(self, total_input: int) -> Decimal:
        if not self.steps:
            return self.per_million
        price = self.per_million
        for start, stepped in self.steps:
            if total_input > start:
                price = stepped
        return price

    def times(self, share: Decimal) -> RolePrice:
        return RolePrice(
            EXACT.multiply(self.per_million, share),
            tuple((start, EXACT.multiply(price, share)) for start, price in self.steps),
            self.row_id,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Quote:
    """What a model costs at an instant, by role, and where that was found."""

    source: PriceSource
    reference: str
    input: RolePrice | None
    cache_read: RolePrice | None
    cache_write: RolePrice | None
    output: RolePrice | None

    def cost(self, tokens: Tokens) -> Decimal | None:
        """The exact cost in USD, or `None` when tokens of a role were used that has no price."""
        return self.cost_of(tokens.input, tokens.cache_read, tokens.cache_write, tokens.output)

    def cost_of(self, read: int, cached: int, written: int, output: int) -> Decimal | None:
        """As `cost`, by the bare counts of input, cache read, cache write and output."""
        whole = read + cached + written
        total = _ZERO
        if read:
            if self.input is None:
                return None
            total = EXACT.multiply(read, self.input.at(whole))
        if cached:
            if self.cache_read is None:
                return None
            total = EXACT.fma(cached, self.cache_read.at(whole), total)
        if written:
            if self.cache_write is None:
                return None
            total = EXACT.fma(written, self.cache_write.at(whole), total)
        if output:
            if self.output is None:
                return None
            total = EXACT.fma(output, self.output.at(whole), total)
        return EXACT.multiply(total, _PER_MILLION)

    @property
    def row_ids(self) -> tuple[UUID, ...]:
        """The price rows that this quote uses, each once."""
        prices = (self.input, self.cache_read, self.cache_write, self.output)
        return tuple(
            dict.fromkeys(price.row_id for price in prices if price and price.row_id is not None)
        )


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price to be; without `effective_from` it holds from now on."""

    provider: str
    model: str
    role: Role
    per_million: Decimal
    effective_from: datetime | None = None
    organization_id: OrganizationId | None = None


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of the price book. With an organization it is that organization's own price."""

    id: UUID
    provider: str
    model: str
    role: Role
    per_million: Decimal
    effective_from: datetime
    organization_id: OrganizationId | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ListedPrice:
    """What the public list says about a model at an instant. A role without a price has `None`."""

    reference: str
    input: RolePrice | None
    cache_read: RolePrice | None
    cache_write: RolePrice | None
    output: RolePrice | None


PublicList = Callable[[str, str, datetime], ListedPrice | None]
"""Looks up (provider, model) at an instant."""

_Rows = Mapping[Role, Sequence[PriceRow]]


class PriceBook:
    """All prices at one version of the book: a value, built once and only read.

    Lookup order (rule 4): the organization's own price → the exact model → its alias → the
    provider's default → the public list → unknown. Each role takes the first price in force at
    the event's instant; a cached role never takes the provider's default when the model itself
    has a price.
    """

    def __init__(
        self,
        version: int,
        rows: Sequence[PriceRow],
        aliases: Mapping[tuple[str, str], str],
        public: PublicList,
    ) -> None:
        self.version = version
        self.rows = tuple(rows)
        self._aliases = aliases
        self._public = public
        self._by_model: dict[tuple[OrganizationId | None, str, str], dict[Role, list[PriceRow]]]
        self._by_model = {}
        self._with_own_prices: set[OrganizationId] = set()
        self._changes: dict[tuple[OrganizationId | None, str, str], list[datetime]] = {}
        for row in sorted(rows, key=lambda row: row.effective_from, reverse=True):
            key = (row.organization_id, row.provider, row.model)
            self._by_model.setdefault(key, {}).setdefault(row.role, []).append(row)
            self._changes.setdefault(key, []).append(row.effective_from)
            if row.organization_id is not None:
                self._with_own_prices.add(row.organization_id)
        self._remembered: dict[tuple[OrganizationId | None, str, str], list[_Stretch]] = {}

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
                # The public list has prices by time of day, so it is asked for each instant.
                return stretch.quote or self._from_public_list(
                    provider.strip().lower(), model.strip().lower(), at
                )
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

    def _levels(
        self, owner: OrganizationId | None, provider: str, model: str
    ) -> list[tuple[PriceSource, tuple[OrganizationId | None, str, str]]]:
        target = self._aliases.get((provider, model))
        names = [model] if target is None else [model, target]
        levels: list[tuple[PriceSource, tuple[OrganizationId | None, str, str]]] = []
        if owner is not None:
            levels += [
                (PriceSource.OVERRIDE, (owner, provider, name)) for name in [*names, ANY_MODEL]
            ]
        levels.append((PriceSource.BOOK, (None, provider, model)))
        if target is not None:
            levels.append((PriceSource.ALIAS, (None, provider, target)))
        levels.append((PriceSource.PROVIDER_DEFAULT, (None, provider, ANY_MODEL)))
        return [level for level in levels if level[1] in self._by_model]

    def _stretches(self, owner: OrganizationId | None, provider: str, model: str) -> list[_Stretch]:
        levels = self._levels(owner, provider, model)
        changes = sorted({at for _, key in levels for at in self._changes[key]}, reverse=True)
        return [
            *(_Stretch(at, self._from_rows(levels, provider, model, at)) for at in changes),
            _Stretch(None, None),
        ]

    def _from_rows(
        self,
        levels: Sequence[tuple[PriceSource, tuple[OrganizationId | None, str, str]]],
        provider: str,
        model: str,
        at: datetime,
    ) -> Quote | None:
        found: dict[Role, tuple[int, PriceRow]] = {}
        for index, (_, key) in enumerate(levels):
            for role, rows in self._by_model[key].items():
                row = next((row for row in rows if row.effective_from <= at), None)
                if row is not None and role not in found:
                    found[role] = (index, row)
        if Role.INPUT not in found and Role.OUTPUT not in found:
            return None
        level = min(found[role][0] for role in (Role.INPUT, Role.OUTPUT) if role in found)
        input_price = _price(found, Role.INPUT)
        listed = self._public(provider, model, at)
        cached = _price(found, Role.CACHE_READ, not_below=level) or (
            listed.cache_read if listed else None
        )
        if cached is None and input_price is not None:
            cached = input_price.times(CACHE_READ_SHARE)
        written = _price(found, Role.CACHE_WRITE, not_below=level)
        if written is None and input_price is not None:
            written = input_price.times(CACHE_WRITE_SHARE)
        source, key = levels[level]
        return Quote(
            source=source,
            reference=f"{key[1]}/{key[2]}",
            input=input_price,
            cache_read=cached,
            cache_write=written,
            output=_price(found, Role.OUTPUT),
        )

    def _from_public_list(self, provider: str, model: str, at: datetime) -> Quote | None:
        listed = self._public(provider, model, at)
        return None if listed is None else _quote_of(listed)


@lru_cache(maxsize=10_000)
def _quote_of(listed: ListedPrice) -> Quote:
    # The list counts cached tokens as input where it has no price of their own for them.
    return Quote(
        source=PriceSource.PUBLIC_LIST,
        reference=listed.reference,
        input=listed.input,
        cache_read=listed.cache_read or listed.input,
        cache_write=listed.cache_write or listed.input,
        output=listed.output,
    )


_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class _Stretch:
    """From `start` on (`None`: always) the rows quote this; without a quote the list is asked."""

    start: datetime | None
    quote: Quote | None


def _price(
    found: Mapping[Role, tuple[int, PriceRow]], role: Role, not_below: int | None = None
) -> RolePrice | None:
    entry = found.get(role)
    if entry is None or (not_below is not None and entry[0] > not_below):
        return None
    return RolePrice(entry[1].per_million, row_id=entry[1].id)
