"""Prices on the wire. Prices are USD per million tokens, as decimal strings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import Field, model_validator

from app.infra.http.schemas import (
    DecimalString,
    InputModel,
    Instant,
    InstantIn,
    OutputModel,
    prefixed_id,
)
from app.kernel.ids import OrganizationId
from app.pricing.domain import (
    NewPrice,
    PriceRow,
    PriceSource,
    Quote,
    Role,
    RolePrice,
    SubsetTooLarge,
    Tokens,
    tokens_of,
)
from app.pricing.models import PRICE_PLACES

if TYPE_CHECKING:
    PriceId = UUID
    OwnerId = UUID
else:
    PriceId = prefixed_id("prc")
    OwnerId = prefixed_id("org")

Name = Annotated[str, Field(min_length=1, max_length=200)]
PerMillionIn = Annotated[
    Decimal,
    Field(ge=0, le=10_000_000, decimal_places=PRICE_PLACES, examples=["2.50"]),
]
TokenCount = Annotated[int, Field(ge=0, le=1_000_000_000_000, strict=True)]


class PriceOut(OutputModel):
    """One line of the price book; `model` is `*` for a provider's default."""

    id: PriceId
    provider: str
    model: str
    role: Role
    price_per_million: DecimalString
    currency: str
    effective_from: Instant
    is_override: bool
    organization_id: OwnerId | None

    @classmethod
    def from_domain(cls, row: PriceRow) -> PriceOut:
        return cls(
            id=row.id,
            provider=row.provider,
            model=row.model,
            role=row.role,
            price_per_million=row.per_million,
            currency="usd",
            effective_from=row.effective_from,
            is_override=row.organization_id is not None,
            organization_id=row.organization_id,
        )


class PricesOut(OutputModel):
    data: list[PriceOut]

    @classmethod
    def from_domain(cls, rows: list[PriceRow]) -> PricesOut:
        return cls(data=[PriceOut.from_domain(row) for row in rows])


class PriceIn(InputModel):
    """A price to add; from now on unless `effective_from` says otherwise."""

    provider: Name
    model: Name
    role: Role
    price_per_million: PerMillionIn
    effective_from: InstantIn | None = None
    organization_id: OwnerId | None = None

    def to_domain(self) -> NewPrice:
        return NewPrice(
            provider=self.provider,
            model=self.model,
            role=self.role,
            per_million=self.price_per_million,
            effective_from=self.effective_from,
            organization_id=OrganizationId(self.organization_id) if self.organization_id else None,
        )


class PricesIn(InputModel):
    """Prices to add together, all or none."""

    prices: Annotated[list[PriceIn], Field(min_length=1, max_length=500)]


class EstimateIn(InputModel):
    """A call as it might be; cached tokens are a part of `tokens_in`."""

    provider: Name
    model: Name
    tokens_in: TokenCount = 0
    tokens_out: TokenCount = 0
    cached_tokens: TokenCount = 0
    cache_write_tokens: TokenCount = 0
    reasoning_tokens: TokenCount = 0
    occurred_at: InstantIn | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> EstimateIn:
        try:
            self.tokens()
        except SubsetTooLarge as error:
            raise ValueError(error.message) from None
        return self

    def tokens(self) -> Tokens:
        return tokens_of(
            self.tokens_in,
            self.tokens_out,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )


class RolePriceOut(OutputModel):
    price_per_million: DecimalString
    price_id: PriceId | None

    @classmethod
    def from_domain(cls, price: RolePrice, total_input: int) -> RolePriceOut:
        return cls(price_per_million=price.at(total_input), price_id=price.row_id)


class PriceUsedOut(OutputModel):
    """Where the price was found, and what it is by role."""

    source: PriceSource
    reference: str
    roles: dict[Role, RolePriceOut]

    @classmethod
    def from_domain(cls, quote: Quote, tokens: Tokens) -> PriceUsedOut:
        prices = {
            Role.INPUT: quote.input,
            Role.CACHE_READ: quote.cache_read,
            Role.CACHE_WRITE: quote.cache_write,
            Role.OUTPUT: quote.output,
        }
        return cls(
            source=quote.source,
            reference=quote.reference,
            roles={
                role: RolePriceOut.from_domain(price, tokens.total_input)
                for role, price in prices.items()
                if price is not None
            },
        )


class EstimateOut(OutputModel):
    """What it would cost; null and `priced: false` where nobody knows."""

    cost_usd: DecimalString | None
    priced: bool
    price_used: PriceUsedOut | None

    @classmethod
    def from_domain(cls, tokens: Tokens, cost: Decimal | None, quote: Quote | None) -> EstimateOut:
        return cls(
            cost_usd=cost,
            priced=cost is not None,
            price_used=PriceUsedOut.from_domain(quote, tokens) if quote else None,
        )
