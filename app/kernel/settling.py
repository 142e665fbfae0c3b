"""What invoices, credits and discounts say to one another; none of them knows the others."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.periods import Period


class DiscountStage(StrEnum):
    """Where on an invoice a discount stands: codes first, then volume (rule 6)."""

    PROMO = "promo"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Discount:
    """Something off an invoice: an amount, or a share in percent (`50` is half)."""

    name: str
    stage: DiscountStage
    fixed: Money | None = None
    percent: Decimal | None = None
    reference: UUID | None = None
    """What its owner knows it by."""

    def __post_init__(self) -> None:
        if (self.fixed is None) == (self.percent is None):
            raise ValueError("a discount is an amount or a share")
        if self.fixed is not None and self.fixed.minor < 0:
            raise ValueError("a discount takes nothing back")
        if self.percent is not None and not 0 <= self.percent <= 100:
            raise ValueError("a discount is between nothing and everything")


@dataclass(frozen=True, slots=True)
class DiscountTaken:
    """What a discount took off an invoice."""

    discount: Discount
    amount: Money


@dataclass(frozen=True, slots=True)
class Purchase:
    """An invoice as far as discounts are concerned: before any of them, and before tax."""

    invoice_id: UUID
    period: Period
    plan: str
    subtotal: Money
    paid_before: Money
    """What the organization has paid until now, net of tax and refunds (rule 8)."""


@dataclass(frozen=True, slots=True)
class CreditDrawn:
    """An entry of the ledger that paid a part of an invoice, and the grant it came from."""

    entry_id: UUID
    grant_id: UUID
    amount: Money


class SpendReader(Protocol):
    """What an organization has paid on invoices so far; invoices supply it."""

    async def paid_net(self, organization_id: OrganizationId, currency: Currency) -> Money:
        """Paid invoices of either origin, net of tax and of what was given back."""
        ...
