"""What invoices ask of whoever knows the payments at Stripe."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.kernel.ids import OrganizationId


@dataclass(frozen=True, slots=True)
class PaymentMade:
    """A charge that paid an invoice at Stripe."""

    reference: str
    amount: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What Stripe took in for one of its invoices, and what of it goes back."""

    payments: Sequence[PaymentMade]
    refunded: int


class PaymentBook(Protocol):
    """Charges and refunds, as far as invoices show them. Joins the unit around it."""

    async def of_invoices(
        self, organization_id: OrganizationId, stripe_invoice_ids: Collection[str]
    ) -> Mapping[str, TakenIn]:
        """By Stripe's id of an invoice; one that nobody paid is not there."""
        ...


class NoPayments:
    """A book of nothing."""

    async def of_invoices(
        self, organization_id: OrganizationId, stripe_invoice_ids: Collection[str]
    ) -> Mapping[str, TakenIn]:
        return {}
