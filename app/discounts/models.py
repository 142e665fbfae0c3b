"""Codes, who used them, and what each use took off."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.discounts import domain
from app.discounts.domain import Channel, RedemptionState, Terms
from app.infra.db.base import PlatformTable, TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.kernel.ids import new_id
from app.kernel.money import Currency, Money

Percent = Annotated[Decimal, mapped_column(Numeric(9, 6))]

_STATES = ", ".join(f"'{state.value}'" for state in RedemptionState)
_CHANNELS = ", ".join(f"'{channel.value}'" for channel in Channel)


class PromoCode(PlatformTable):
    """A code. Platform table: anybody may type it."""

    __tablename__ = "promo_codes"
    __table_args__ = (
        CheckConstraint("(percent is null) <> (amount is null)", name="one_kind"),
        CheckConstraint("percent > 0 and percent <= 100", name="percent_is_a_share"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("uses >= 0 and uses <= max_uses", name="uses_within_limit"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str]
    code_key: Mapped[str] = mapped_column(unique=True)
    """The code without regard to case."""
    description: Mapped[str | None]
    percent: Mapped[Percent | None]
    amount: Mapped[MinorUnits | None]
    currency: Mapped[CurrencyCode | None]
    max_uses: Mapped[int | None]
    max_uses_per_org: Mapped[int | None]
    starts_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    plans: Mapped[list[str]]
    minimum_amount: Mapped[MinorUnits | None]
    minimum_currency: Mapped[CurrencyCode | None]
    periods: Mapped[int | None]
    uses: Mapped[int]
    is_active: Mapped[bool]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    stripe_coupon_id: Mapped[str | None]
    stripe_promotion_code_id: Mapped[str | None]
    stripe_is_active: Mapped[bool | None]

    @property
    def terms(self) -> Terms:
        return Terms(
            percent=self.percent,
            fixed=_money(self.amount, self.currency),
            max_uses=self.max_uses,
            max_uses_per_org=self.max_uses_per_org,
            starts_at=self.starts_at,
            expires_at=self.expires_at,
            plans=frozenset(self.plans),
            minimum=_money(self.minimum_amount, self.minimum_currency),
            periods=self.periods,
            description=self.description,
        )

    def to_domain(self) -> domain.PromoCode:
        return domain.PromoCode(
            id=self.id,
            code=self.code,
            terms=self.terms,
            uses=self.uses,
            is_active=self.is_active,
            created_at=self.created_at,
            stripe_promotion_code_id=self.stripe_promotion_code_id,
        )


class PromoRedemption(TenantTable):
    """A use of a code, once for its cause."""

    __tablename__ = "promo_redemptions"
    __table_args__ = (
        UniqueConstraint("organization_id", "promo_code_id", "cause"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        CheckConstraint(f"channel in ({_CHANNELS})", name="channel_is_known"),
        CheckConstraint("periods_used >= 0 and periods_used <= periods", name="periods_in_limit"),
        Index(None, "promo_code_id"),
    )

    promo_code_id: Mapped[UUID]
    code: Mapped[str]
    cause: Mapped[str]
    channel: Mapped[str]
    state: Mapped[str]
    actor: Mapped[str]
    purchase_amount: Mapped[MinorUnits | None]
    discount_amount: Mapped[MinorUnits | None]
    currency: Mapped[CurrencyCode | None]
    periods: Mapped[int | None] = mapped_column(Integer)
    periods_used: Mapped[int] = mapped_column(Integer)
    redeemed_at: Mapped[datetime]

    def to_domain(self) -> domain.Redemption:
        return domain.Redemption(
            id=self.id,
            promo_code_id=self.promo_code_id,
            code=self.code,
            state=RedemptionState(self.state),
            purchase=_money(self.purchase_amount, self.currency),
            discount=_money(self.discount_amount, self.currency),
            periods=self.periods,
            periods_used=self.periods_used,
            redeemed_at=self.redeemed_at,
        )


class DiscountedInvoice(TenantTable):
    """What a redemption took off an invoice of ours; each period of it once."""

    __tablename__ = "promo_discounted_invoices"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "redemption_id"],
            ["promo_redemptions.organization_id", "promo_redemptions.id"],
        ),
        UniqueConstraint("organization_id", "invoice_id", "redemption_id"),
    )

    redemption_id: Mapped[UUID]
    invoice_id: Mapped[UUID]
    amount: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    taken_at: Mapped[datetime]


def _money(amount: int | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount, Currency(currency))
