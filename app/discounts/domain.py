"""What a code takes off, when it may be used, and what volume earns (rule 8). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from uuid import UUID

from app.discounts.errors import (
    CodeExpired,
    CodeInactive,
    CodeNotForPlan,
    CodeNotYetValid,
    CodeOtherCurrency,
    CodeRefused,
    CodeUsedHere,
    CodeUsedUp,
    CodeWantsMore,
)
from app.kernel.money import USD, Currency, Money

_HUNDRED = Decimal(100)


class RedemptionState(StrEnum):
    """Where the use of a code stands."""

    HELD = "held"
    """A payment page is open with it; it counts, and comes back if the page runs out."""
    ACTIVE = "active"
    """It takes something off, or may still."""
    RELEASED = "released"


class Channel(StrEnum):
    """Who takes the discount off."""

    INVOICE = "invoice"
    """Our own invoices."""
    STRIPE = "stripe"
    """Stripe, by the coupon of the same terms."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a code is good for. Exactly one of *percent* and *fixed*."""

    percent: Decimal | None = None
    fixed: Money | None = None
    max_uses: int | None = None
    max_uses_per_org: int | None = 1
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    plans: frozenset[str] = frozenset()
    """Empty for all."""
    minimum: Money | None = None
    periods: int | None = 1
    """How many billing periods it takes something off; `None` for all to come."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class PromoCode:
    """A code, its terms, and how often it was used."""

    id: UUID
    code: str
    terms: Terms
    uses: int
    is_active: bool
    created_at: datetime
    stripe_promotion_code_id: str | None = None

    def refusal(
        self,
        now: datetime,
        *,
        uses_here: int,
        plan: str | None = None,
        amount: Money | None = None,
        is_counted: bool = False,
    ) -> CodeRefused | None:
        """Why the code does not apply, if so; what is not told is not checked.

        With *is_counted* this use is in `uses` already.
        """
        terms = self.terms
        if not self.is_active:
            return CodeInactive()
        if terms.starts_at is not None and now < terms.starts_at:
            return CodeNotYetValid()
        if terms.expires_at is not None and now >= terms.expires_at:
            return CodeExpired()
        if terms.max_uses is not None and self.uses - is_counted >= terms.max_uses:
            return CodeUsedUp()
        if terms.max_uses_per_org is not None and uses_here >= terms.max_uses_per_org:
            return CodeUsedHere()
        if plan is not None and terms.plans and plan not in terms.plans:
            return CodeNotForPlan(plan=plan)
        return None if amount is None else self._amount_refusal(amount)

    def _amount_refusal(self, amount: Money) -> CodeRefused | None:
        terms = self.terms
        for money in (terms.fixed, terms.minimum):
            if money is not None and money.currency != amount.currency:
                return CodeOtherCurrency(currency=str(money.currency))
        if terms.minimum is not None and amount < terms.minimum:
            return CodeWantsMore(
                minimum_amount=terms.minimum.minor, currency=str(terms.minimum.currency)
            )
        return None

    def off(self, amount: Money) -> Money:
        """What the code takes off *amount*, never more than all of it; rounded once (rule 6)."""
        if self.terms.fixed is not None:
            return min(self.terms.fixed, amount)
        return share(self.terms.percent or Decimal(0), amount)


@dataclass(frozen=True, slots=True)
class Redemption:
    """One use of a code by an organization."""

    id: UUID
    promo_code_id: UUID
    code: str
    state: RedemptionState
    purchase: Money | None
    discount: Money | None
    periods: int | None
    periods_used: int
    redeemed_at: datetime


@dataclass(frozen=True, slots=True)
class Quote:
    """What a code would do to a purchase."""

    code: str
    refusal: CodeRefused | None
    percent: Decimal | None
    fixed: Money | None
    discount: Money | None
    final: Money | None


@dataclass(frozen=True, slots=True)
class VolumeTier:
    """From this much paid on, in minor units, so many percent off."""

    from_amount: int
    percent: Decimal


VOLUME_CURRENCY: Currency = USD
VOLUME_TIERS = (
    VolumeTier(10_000_00, Decimal(5)),
    VolumeTier(50_000_00, Decimal(10)),
    VolumeTier(100_000_00, Decimal(15)),
    VolumeTier(500_000_00, Decimal(20)),
)


@dataclass(frozen=True, slots=True)
class VolumeStanding:
    """What was paid so far, what it earns on the next invoice, and what the next tier wants."""

    spent: Money
    current: VolumeTier | None
    next: VolumeTier | None

    @property
    def percent(self) -> Decimal:
        return self.current.percent if self.current else Decimal(0)

    @property
    def missing(self) -> int | None:
        return None if self.next is None else self.next.from_amount - self.spent.minor


def share(percent: Decimal, amount: Money) -> Money:
    exact = percent * amount.minor / _HUNDRED
    return Money(int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP)), amount.currency)


def volume_standing(spent: Money, tiers: Sequence[VolumeTier] = VOLUME_TIERS) -> VolumeStanding:
    """The tier that *spent* has reached holds for the whole of the next invoice (rule 8).

    It is not marginal: an invoice that crosses a threshold is billed by the tier reached before
    it, and the next one by the new tier in full.
    """
    reached = [tier for tier in tiers if spent.minor >= tier.from_amount]
    ahead = [tier for tier in tiers if spent.minor < tier.from_amount]
    return VolumeStanding(spent, reached[-1] if reached else None, ahead[0] if ahead else None)
