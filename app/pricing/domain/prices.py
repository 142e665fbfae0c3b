"""Price rows, markups, what a model costs at an instant, and the arithmetic of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.kernel.rates import EXACT, plain
from app.pricing.domain.tokens import TokenRole, Tokens

ANY = "*"
"""Every model of a provider; for a markup also every provider."""

FROM_THE_BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
"""Since when a price holds that nothing came before."""

LEAP = 10
"""A price so many times its predecessor, or so small a part of it, is more often a slip."""

_PER_MILLION = Decimal("0.000001")
_PRICE_PLACES = Decimal("1e-12")
_COST_PLACES = Decimal("1e-18")
_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


class PriceSource(StrEnum):
    """Which step of the lookup found the price."""

    OVERRIDE = "override"
    BOOK = "book"
    ALIAS = "alias"
    PROVIDER_DEFAULT = "provider_default"
    PUBLIC_LIST = "public_list"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one role's price was found, and since when it holds; the public list does not say.

    `is_derived` is a share of the input's price, where cached tokens have none of their own.
    """

    source: PriceSource
    reference: str
    since: datetime | None = None
    is_derived: bool = False


@dataclass(frozen=True, slots=True)
class RolePrice:
    """A price per million tokens; above a step of total input tokens the step's price holds for all.

    `row_id` is the price row it came from; a price out of the public list has none.
    """

    per_million: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()
    row_id: UUID | None = None
    markup: Markup | None = None
    origin: Origin | None = None

    def at(self, total_input: int) -> Decimal:
        if not self.steps:
            return self.per_million
        price = self.per_million
        for start, stepped in self.steps:
            if total_input > start:
                price = stepped
        return price

    def derived(self, share: Decimal) -> RolePrice:
        """A share of this price, for a role that has none of its own."""
        origin = self.origin
        return RolePrice(
            EXACT.multiply(self.per_million, share),
            tuple((start, EXACT.multiply(price, share)) for start, price in self.steps),
            self.row_id,
            None,
            Origin(origin.source, origin.reference, origin.since, is_derived=True)
            if origin
            else None,
        )

    def marked_up(self, markup: Markup | None) -> RolePrice:
        if markup is None:
            return self
        return RolePrice(
            markup.applied_to(self.per_million),
            tuple((start, markup.applied_to(price)) for start, price in self.steps),
            self.row_id,
            markup,
            self.origin,
        )

    @property
    def is_long(self) -> bool:
        """Whether the cost of a token has more decimal places than are kept."""
        prices = (self.per_million, *(price for _, price in self.steps))
        return any(price.compare(EXACT.quantize(price, _PRICE_PLACES)) for price in prices)


@dataclass(frozen=True, slots=True, eq=False)
class Quote:
    """What a model costs at an instant, by role, and where that was found.

    `reasoning` is the price of reasoning tokens where it differs from that of other output;
    `per_call` is what a provider takes for each request besides.
    """

    source: PriceSource
    reference: str
    input: RolePrice | None
    cache_read: RolePrice | None
    cache_write: RolePrice | None
    output: RolePrice | None
    reasoning: RolePrice | None = None
    per_call: Decimal = _ZERO
    _is_long: bool = field(init=False)

    def __post_init__(self) -> None:
        prices = (self.input, self.cache_read, self.cache_write, self.output, self.reasoning)
        is_long = any(price is not None and price.is_long for price in prices)
        object.__setattr__(self, "_is_long", is_long)

    def cost(self, tokens: Tokens) -> Decimal | None:
        """The exact cost in USD, or `None` when tokens of a role were used that has no price."""
        return self.cost_of(
            tokens.input, tokens.cache_read, tokens.cache_write, tokens.output, tokens.reasoning
        )

    def cost_of(
        self, read: int, cached: int, written: int, output: int, reasoning: int = 0
    ) -> Decimal | None:
        """As `cost`, by the bare counts of input, cache read, cache write and output.

        Exact up to the 18 decimal places that are stored: a few prices of the public list are
        longer than that allows, and their cost is rounded here, once, for event and sums alike.
        """
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
            if reasoning and self.reasoning is not None:
                total = EXACT.fma(reasoning, self.reasoning.at(whole), total)
                output -= reasoning
            total = EXACT.fma(output, self.output.at(whole), total)
        cost = EXACT.fma(total, _PER_MILLION, self.per_call)
        return cost.quantize(_COST_PLACES, ROUND_HALF_UP, EXACT) if self._is_long else cost

    def of(self, role: TokenRole) -> RolePrice | None:
        """The price of one role."""
        price: RolePrice | None = getattr(self, role.value)
        return price

    @property
    def roles(self) -> dict[TokenRole, RolePrice]:
        """Every role that has a price."""
        found = {role: self.of(role) for role in TokenRole}
        return {role: price for role, price in found.items() if price is not None}

    @property
    def row_ids(self) -> tuple[UUID, ...]:
        """The price rows and markups that this quote uses, each once."""
        prices = self.roles.values()
        ids = [price.row_id for price in prices]
        ids += [price.markup.id for price in prices if price.markup is not None]
        return tuple(dict.fromkeys(each for each in ids if each is not None))


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A price to be; without `effective_from` it holds from now on, or, as a model's first, always."""

    provider: str
    model: str
    role: TokenRole
    per_million: Decimal
    effective_from: datetime | None = None
    organization_id: OrganizationId | None = None


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One line of the price book. With an organization it is that organization's own price."""

    id: UUID
    provider: str
    model: str
    role: TokenRole
    per_million: Decimal
    effective_from: datetime
    organization_id: OrganizationId | None = None


@dataclass(frozen=True, slots=True)
class NewMarkup:
    """A markup to be; without `effective_from` it holds from now on."""

    organization_id: OrganizationId
    provider: str
    model: str
    percent: Decimal
    effective_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Markup:
    """What an organization pays on top of the price that would otherwise hold, in percent.

    Below zero it is a discount; 0 ends what was in force before, a price of its own included.
    """

    id: UUID
    organization_id: OrganizationId
    provider: str
    model: str
    percent: Decimal
    effective_from: datetime

    def applied_to(self, price: Decimal) -> Decimal:
        """The price with it: a price again, of twelve decimal places at most."""
        raised = EXACT.multiply(price, EXACT.add(_HUNDRED, self.percent)).scaleb(-2)
        return raised.quantize(_PRICE_PLACES, ROUND_HALF_UP, EXACT).normalize(EXACT)

    @property
    def label(self) -> str:
        return f"{'' if self.percent < 0 else '+'}{plain(self.percent)}%"


@dataclass(frozen=True, slots=True, eq=False)
class ListedPrice:
    """What the public list says about a model at an instant. A role without a price has `None`.

    `is_timeless`: it says the same at every instant.
    """

    reference: str
    input: RolePrice | None
    cache_read: RolePrice | None
    cache_write: RolePrice | None
    output: RolePrice | None
    reasoning: RolePrice | None = None
    per_call: Decimal = _ZERO
    is_timeless: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ModelPrices:
    """What a model costs now, and by role the price row that comes next."""

    provider: str
    model: str
    quote: Quote
    coming: Mapping[TokenRole, PriceRow | None]


PublicList = Callable[[str, str, datetime], ListedPrice | None]
"""Looks up (provider, model) at an instant."""


@dataclass(frozen=True, slots=True)
class Leap:
    """A price that differs from the one before it so much that somebody should look twice."""

    row: PriceRow
    predecessor: Decimal


def is_leap(price: Decimal, predecessor: Decimal) -> bool:
    """Ten times as much or more, or a tenth or less; something instead of nothing, too."""
    if price == predecessor:
        return False
    return price >= predecessor * LEAP or price * LEAP <= predecessor
