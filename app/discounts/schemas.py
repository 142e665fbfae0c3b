"""Codes on the wire. Amounts are minor units of their currency, percents decimal strings."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.discounts.domain import (
    PromoCode,
    Quote,
    Redemption,
    RedemptionState,
    Terms,
    VolumeStanding,
    VolumeTier,
)
from app.infra.http.schemas import (
    DecimalString,
    InputModel,
    Instant,
    InstantIn,
    OutputModel,
    prefixed_id,
)
from app.kernel.money import Currency, Money

if TYPE_CHECKING:
    PromoCodeId = UUID
    RedemptionId = UUID
else:
    PromoCodeId = prefixed_id("prm")
    RedemptionId = prefixed_id("prd")

Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern="^[A-Za-z0-9-]{3,50}$"),
    Field(examples=["WELCOME50"]),
]
"""Letters, digits and dashes, as Stripe takes them; their case does not matter."""
TypedCode = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Amount = Annotated[int, Field(gt=0, le=10**12)]
Percent = Annotated[Decimal, Field(gt=0, le=100, decimal_places=2, examples=["50"])]
PlanKey = Annotated[str, Field(min_length=1, max_length=100, examples=["professional"])]
Count = Annotated[int, Field(ge=1, le=10**9)]
CurrencyIn = Annotated[
    str, Field(pattern="^[A-Za-z]{3}$"), AfterValidator(lambda code: str(Currency(code)))
]


class PromoCodeIn(InputModel):
    """A code to be: a percentage or an amount off."""

    code: Code
    discount_percent: Percent | None = None
    discount_amount: Amount | None = None
    currency: CurrencyIn = "usd"
    max_uses: Count | None = None
    max_uses_per_org: Count | None = 1
    starts_at: InstantIn | None = None
    expires_at: InstantIn | None = None
    plans: Annotated[list[PlanKey], Field(max_length=50, description="Empty for all.")] = []
    minimum_amount: Amount | None = None
    periods: Annotated[
        int | None,
        Field(ge=1, le=120, description="Billing periods it holds for; null for all to come."),
    ] = 1
    description: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.discount_percent is None) == (self.discount_amount is None):
            raise ValueError("discount_percent or discount_amount, one of the two")
        if self.starts_at and self.expires_at and self.starts_at >= self.expires_at:
            raise ValueError("a code expires after it starts")
        return self

    def to_terms(self) -> Terms:
        return Terms(
            percent=self.discount_percent,
            fixed=self._money(self.discount_amount),
            max_uses=self.max_uses,
            max_uses_per_org=self.max_uses_per_org,
            starts_at=self.starts_at,
            expires_at=self.expires_at,
            plans=frozenset(self.plans),
            minimum=self._money(self.minimum_amount),
            periods=self.periods,
            description=self.description,
        )

    def _money(self, amount: int | None) -> Money | None:
        return None if amount is None else Money(amount, Currency(self.currency))


class PromoCodePatch(InputModel):
    """A code is switched on or off; its terms never change."""

    is_active: bool


class PromoCodeOut(OutputModel):
    """A code, its terms, and how often it was used."""

    id: PromoCodeId
    code: str
    discount_percent: DecimalString | None
    discount_amount: int | None
    currency: str | None
    max_uses: int | None
    max_uses_per_org: int | None
    uses: int
    starts_at: Instant | None
    expires_at: Instant | None
    plans: list[str]
    minimum_amount: int | None
    periods: int | None
    description: str | None
    is_active: bool
    created_at: Instant
    stripe_promotion_code_id: str | None

    @classmethod
    def of(cls, code: PromoCode) -> PromoCodeOut:
        terms = code.terms
        money = terms.fixed or terms.minimum
        return cls(
            id=code.id,
            code=code.code,
            discount_percent=terms.percent,
            discount_amount=terms.fixed.minor if terms.fixed else None,
            currency=str(money.currency) if money else None,
            max_uses=terms.max_uses,
            max_uses_per_org=terms.max_uses_per_org,
            uses=code.uses,
            starts_at=terms.starts_at,
            expires_at=terms.expires_at,
            plans=sorted(terms.plans),
            minimum_amount=terms.minimum.minor if terms.minimum else None,
            periods=terms.periods,
            description=terms.description,
            is_active=code.is_active,
            created_at=code.created_at,
            stripe_promotion_code_id=code.stripe_promotion_code_id,
        )


class PurchaseIn(InputModel):
    """A code somebody typed, and what they want to buy with it."""

    code: TypedCode = Field(examples=["WELCOME50"])
    plan: PlanKey | None = None
    amount: Annotated[int, Field(ge=0, le=10**12, examples=[29900])] | None = None
    currency: CurrencyIn = "usd"

    @property
    def money(self) -> Money | None:
        return None if self.amount is None else Money(self.amount, Currency(self.currency))


class RedeemIn(PurchaseIn):
    """The same, to be used. *checkout_id* or the Idempotency-Key names the purchase."""

    checkout_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class QuoteOut(OutputModel):
    """What the code would do, or why it does nothing."""

    valid: bool
    code: str
    reason: str | None
    message: str | None
    discount_percent: DecimalString | None
    discount_amount: int | None
    final_amount: int | None
    currency: str | None

    @classmethod
    def of(cls, quote: Quote) -> QuoteOut:
        money = quote.final or quote.fixed
        off = quote.discount or quote.fixed
        return cls(
            valid=quote.refusal is None,
            code=quote.code,
            reason=quote.refusal.code if quote.refusal else None,
            message=quote.refusal.message if quote.refusal else None,
            discount_percent=quote.percent,
            discount_amount=off.minor if off is not None and quote.refusal is None else None,
            final_amount=quote.final.minor if quote.final is not None else None,
            currency=str(money.currency) if money is not None else None,
        )


class RedemptionOut(OutputModel):
    """A use of a code."""

    id: RedemptionId
    promo_code_id: PromoCodeId
    code: str
    state: RedemptionState
    purchase_amount: int | None
    discount_amount: int | None
    currency: str | None
    periods: int | None
    periods_used: int
    redeemed_at: Instant

    @classmethod
    def of(cls, redemption: Redemption) -> RedemptionOut:
        purchase, discount = redemption.purchase, redemption.discount
        return cls(
            id=redemption.id,
            promo_code_id=redemption.promo_code_id,
            code=redemption.code,
            state=redemption.state,
            purchase_amount=purchase.minor if purchase is not None else None,
            discount_amount=discount.minor if discount is not None else None,
            currency=str(purchase.currency) if purchase is not None else None,
            periods=redemption.periods,
            periods_used=redemption.periods_used,
            redeemed_at=redemption.redeemed_at,
        )


class VolumeTierOut(OutputModel):
    """From this much paid on, so many percent off."""

    from_amount: int
    percent: DecimalString

    @classmethod
    def of(cls, tier: VolumeTier) -> VolumeTierOut:
        return cls(from_amount=tier.from_amount, percent=tier.percent)


class VolumeOut(OutputModel):
    """What was paid so far, net of tax and refunds, and what it takes off the next invoice."""

    current_discount_percent: DecimalString
    cumulative_spend: int
    currency: str
    next_tier: VolumeTierOut | None
    amount_to_next_tier: int | None
    tiers: list[VolumeTierOut]

    @classmethod
    def of(cls, standing: VolumeStanding, tiers: tuple[VolumeTier, ...]) -> VolumeOut:
        return cls(
            current_discount_percent=standing.percent,
            cumulative_spend=standing.spent.minor,
            currency=str(standing.spent.currency),
            next_tier=VolumeTierOut.of(standing.next) if standing.next else None,
            amount_to_next_tier=standing.missing,
            tiers=[VolumeTierOut.of(tier) for tier in tiers],
        )
