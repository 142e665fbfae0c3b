"""Prices on the wire. Prices are USD per million tokens, as decimal strings."""

from __future__ import annotations

from collections.abc import Iterable
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
    ANY,
    Markup,
    ModelPrices,
    NewMarkup,
    NewPrice,
    PriceBook,
    PriceRow,
    PriceSource,
    Quote,
    RolePrice,
    SubsetTooLarge,
    TokenRole,
    Tokens,
    tokens_of,
)
from app.pricing.models import MARKUP_PLACES, PRICE_PLACES

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


class PriceRowOut(OutputModel):
    """One line of the price book; `model` is `*` for a provider's default."""

    id: PriceId
    provider: str
    model: str
    role: TokenRole
    price_per_million: DecimalString
    currency: str
    effective_from: Instant
    is_override: bool
    organization_id: OwnerId | None

    @classmethod
    def from_domain(cls, row: PriceRow) -> PriceRowOut:
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


class PriceRowsOut(OutputModel):
    data: list[PriceRowOut]

    @classmethod
    def from_domain(cls, rows: Iterable[PriceRow]) -> PriceRowsOut:
        return cls(data=[PriceRowOut.from_domain(row) for row in rows])


class MarkupOut(OutputModel):
    """A percentage on what an organization would otherwise pay; `*` stands for all."""

    id: PriceId
    organization_id: OwnerId
    provider: str
    model: str
    percent: DecimalString
    effective_from: Instant

    @classmethod
    def from_domain(cls, markup: Markup) -> MarkupOut:
        return cls.model_validate(markup)


class AliasOut(OutputModel):
    """Another name of a model."""

    provider: str
    alias: str
    model: str


class PriceBookOut(OutputModel):
    """The whole book: every price there was, is or will be, markups and aliases."""

    data: list[PriceRowOut]
    markups: list[MarkupOut]
    aliases: list[AliasOut]

    @classmethod
    def from_domain(cls, book: PriceBook) -> PriceBookOut:
        rows = sorted(
            book.rows, key=lambda row: (row.provider, row.model, row.role, row.effective_from)
        )
        return cls(
            data=[PriceRowOut.from_domain(row) for row in rows],
            markups=[MarkupOut.from_domain(each) for each in book.markups],
            aliases=[
                AliasOut(provider=provider, alias=alias, model=model)
                for (provider, alias), model in sorted(book.aliases.items())
            ],
        )


class StepOut(OutputModel):
    """With more than so many tokens in, all tokens of the call cost this."""

    above_tokens_in: int
    price_per_million: DecimalString


class ComingPriceOut(OutputModel):
    effective_from: Instant
    price_per_million: DecimalString


class PriceOut(OutputModel):
    """What a million tokens of one role cost you now; `model` is `*` for a provider's default."""

    id: PriceId | None = Field(description="The price row; null for the public list's.")
    provider: str
    model: str
    role: TokenRole
    price_per_million: DecimalString
    currency: str
    effective_from: Instant | None = Field(description="Null where the public list decides.")
    source: PriceSource
    reference: str
    is_override: bool = Field(description="Whether it is your own price, or has your markup.")
    is_derived: bool = Field(description="Whether it is a share of the input's price.")
    markup_percent: DecimalString | None
    steps: list[StepOut]
    next: ComingPriceOut | None
    organization_id: OwnerId | None

    @classmethod
    def from_domain(
        cls, found: ModelPrices, role: TokenRole, price: RolePrice, owner: OrganizationId | None
    ) -> PriceOut:
        origin, markup, coming = price.origin, price.markup, found.coming.get(role)
        source = origin.source if origin else found.quote.source
        is_override = source is PriceSource.OVERRIDE or markup is not None
        since = [each.effective_from for each in (markup,) if each]
        since += [origin.since] if origin and origin.since else []
        return cls(
            id=None if origin and origin.is_derived else price.row_id,
            provider=found.provider,
            model=found.model,
            role=role,
            price_per_million=price.per_million,
            currency="usd",
            effective_from=max(since, default=None),
            source=PriceSource.OVERRIDE if is_override else source,
            reference=origin.reference if origin else found.quote.reference,
            is_override=is_override,
            is_derived=bool(origin and origin.is_derived),
            markup_percent=markup.percent if markup else None,
            steps=[
                StepOut(above_tokens_in=start, price_per_million=stepped)
                for start, stepped in price.steps
            ],
            next=ComingPriceOut(
                effective_from=coming.effective_from, price_per_million=coming.per_million
            )
            if coming
            else None,
            organization_id=owner if is_override else None,
        )


class PricesOut(OutputModel):
    data: list[PriceOut]

    @classmethod
    def from_domain(cls, found: list[ModelPrices], owner: OrganizationId | None) -> PricesOut:
        return cls(
            data=[
                PriceOut.from_domain(each, role, price, owner)
                for each in found
                for role, price in each.quote.roles.items()
            ]
        )


class PriceIn(InputModel):
    """A price to add.

    Without `effective_from` it holds from now on; the first price of a model that had none holds
    from the beginning, so that it prices what waits. `confirm` is needed for ten times the price
    before, or a tenth of it.
    """

    provider: Name
    model: Name
    role: TokenRole
    price_per_million: PerMillionIn
    effective_from: InstantIn | None = None
    organization_id: OwnerId | None = None
    confirm: bool = False

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
    confirm: bool = False


class MarkupIn(InputModel):
    """What an organization pays on top, in percent; below zero it is a discount, 0 ends one.

    `*` as model is every model of the provider, as provider every provider. Of a price of its own
    and a markup under the same name the later one holds.
    """

    organization_id: OwnerId
    provider: Name = ANY
    model: Name = ANY
    percent: Annotated[
        Decimal, Field(gt=-100, le=100_000, decimal_places=MARKUP_PLACES, examples=["15"])
    ]
    effective_from: InstantIn | None = None
    confirm: bool = False

    @model_validator(mode="after")
    def _every_provider_means_every_model(self) -> MarkupIn:
        if self.provider == ANY and self.model != ANY:
            raise ValueError("a markup on every provider is on every model")
        return self

    def to_domain(self) -> NewMarkup:
        return NewMarkup(
            organization_id=OrganizationId(self.organization_id),
            provider=self.provider,
            model=self.model,
            percent=self.percent,
            effective_from=self.effective_from,
        )


class AliasIn(InputModel):
    """Another name of a model, which then costs what the model costs."""

    provider: Name
    alias: Name
    model: Name


class EstimateIn(InputModel):
    """A call as it might be; cached tokens are a part of `tokens_in`."""

    provider: Name
    model: Name
    tokens_in: TokenCount = 0
    tokens_out: TokenCount = 0
    max_tokens_out: TokenCount | None = Field(
        None, description="The most it may write; counts in place of `tokens_out`."
    )
    cached_tokens: TokenCount = 0
    cache_write_tokens: TokenCount = 0
    reasoning_tokens: TokenCount = 0
    occurred_at: InstantIn | None = None

    @model_validator(mode="after")
    def _writes_once(self) -> EstimateIn:
        if self.tokens_out and self.max_tokens_out is not None:
            raise ValueError("tokens_out and max_tokens_out exclude each other")
        return self

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
            self.tokens_out if self.max_tokens_out is None else self.max_tokens_out,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )


class RolePriceOut(OutputModel):
    price_per_million: DecimalString
    price_id: PriceId | None
    source: PriceSource | None
    is_derived: bool
    markup_percent: DecimalString | None

    @classmethod
    def from_domain(cls, price: RolePrice, total_input: int) -> RolePriceOut:
        return cls(
            price_per_million=price.at(total_input),
            price_id=price.row_id,
            source=price.origin.source if price.origin else None,
            is_derived=bool(price.origin and price.origin.is_derived),
            markup_percent=price.markup.percent if price.markup else None,
        )


class PriceUsedOut(OutputModel):
    """Where the price was found, and what it is by role, with the steps that the call reaches."""

    source: PriceSource
    reference: str
    per_call: DecimalString
    roles: dict[TokenRole, RolePriceOut]

    @classmethod
    def from_domain(cls, quote: Quote, tokens: Tokens) -> PriceUsedOut:
        return cls(
            source=quote.source,
            reference=quote.reference,
            per_call=quote.per_call,
            roles={
                role: RolePriceOut.from_domain(price, tokens.total_input)
                for role, price in quote.roles.items()
            },
        )


class EstimateOut(OutputModel):
    """What it would cost; null and `priced: false`, with the `reason`, where nobody knows."""

    cost_usd: DecimalString | None
    priced: bool
    reason: str | None
    price_used: PriceUsedOut | None

    @classmethod
    def from_domain(cls, tokens: Tokens, cost: Decimal | None, quote: Quote | None) -> EstimateOut:
        reason = None
        if quote is None:
            reason = "No price is known for this provider and model; its usage waits for one."
        elif cost is None:
            missing = ", ".join(role for role in TokenRole if quote.of(role) is None)
            reason = f"The model has no price for: {missing}."
        return cls(
            cost_usd=cost,
            priced=cost is not None,
            reason=reason,
            price_used=PriceUsedOut.from_domain(quote, tokens) if quote else None,
        )
