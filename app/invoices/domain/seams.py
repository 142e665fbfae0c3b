"""What invoices ask of credits and discounts. Every method joins the unit around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.settling import CreditDrawn, Discount, DiscountTaken, Purchase


class CreditLedger(Protocol):
    """Prepaid credit, as far as invoices use it."""

    async def available(self, organization_id: OrganizationId, currency: Currency) -> Money:
        """What could be drawn now."""
        ...

    async def apply(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> Sequence[CreditDrawn]:
        """Draw what there is, at most *amount*. For the same invoice again: the same entries."""
        ...

    async def give_back(self, organization_id: OrganizationId, invoice_id: UUID) -> Money:
        """Return what an invoice drew to its grants; nothing the second time."""
        ...

    async def grant_back(
        self, organization_id: OrganizationId, credit_note_id: UUID, amount: Money
    ) -> None:
        """Make a credit note's amount credit; once for each note."""
        ...

    async def keep_surplus(
        self, organization_id: OrganizationId, request_id: UUID, amount: Money
    ) -> None:
        """Make what was paid too much credit; once for each request for payment."""
        ...


class DiscountBook(Protocol):
    """Codes and volume discounts, as far as invoices use them."""

    async def for_invoice(
        self, organization_id: OrganizationId, purchase: Purchase
    ) -> Sequence[Discount]:
        """What comes off; changes nothing."""
        ...

    async def redeem(
        self, organization_id: OrganizationId, invoice_id: UUID, taken: Sequence[DiscountTaken]
    ) -> None:
        """Note what an invoice took; once for each invoice."""
        ...

    async def release(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Forget it, because the invoice is void."""
        ...

    async def note_elsewhere(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> None:
        """Note what an invoice of Stripe's took off; once for each invoice."""
        ...


class NoCredits:
    """A ledger in which nobody ever has anything."""

    async def available(self, organization_id: OrganizationId, currency: Currency) -> Money:
        return Money.zero(currency)

    async def apply(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> Sequence[CreditDrawn]:
        return ()

    async def give_back(self, organization_id: OrganizationId, invoice_id: UUID) -> Money:
        return Money.zero()

    async def grant_back(
        self, organization_id: OrganizationId, credit_note_id: UUID, amount: Money
    ) -> None:
        raise LookupError("nobody keeps credits")

    async def keep_surplus(
        self, organization_id: OrganizationId, request_id: UUID, amount: Money
    ) -> None:
        raise LookupError("nobody keeps credits")


class NoDiscounts:
    """A book without a discount in it."""

    async def for_invoice(
        self, organization_id: OrganizationId, purchase: Purchase
    ) -> Sequence[Discount]:
        return ()

    async def redeem(
        self, organization_id: OrganizationId, invoice_id: UUID, taken: Sequence[DiscountTaken]
    ) -> None:
        return None

    async def release(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        return None

    async def note_elsewhere(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> None:
        return None
