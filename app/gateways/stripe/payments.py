"""Money that came in, went back or is fought over, as Stripe tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StripeCharge:
    """An attempt to take money, successful or not."""

    id: str
    customer_id: str | None
    payment_intent_id: str | None
    amount: int
    amount_refunded: int
    currency: str
    status: str
    """`succeeded`, `pending` or `failed`."""
    is_disputed: bool
    description: str | None
    failure_code: str | None
    failure_message: str | None
    created_at: datetime
    livemode: bool


@dataclass(frozen=True, slots=True)
class StripeRefund:
    """Money on its way back."""

    id: str
    charge_id: str | None
    amount: int
    currency: str
    status: str
    """`pending`, `requires_action`, `succeeded`, `failed` or `canceled`."""
    reason: str | None
    failure_reason: str | None
    created_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StripeDispute:
    """A customer's bank that wants money back, or an inquiry that comes before. It names no
    customer: its charge does."""

    id: str
    charge_id: str
    amount: int
    currency: str
    reason: str
    status: str
    is_charge_refundable: bool
    respond_by: datetime | None
    created_at: datetime
    withdrawn_at: datetime | None = None
    """When the bank took the amount; an inquiry takes nothing."""
    reinstated_at: datetime | None = None
    """When it was given back, if it was and is with us still."""


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What is to go back, and why. The metadata names our row, so that it is found again."""

    charge_id: str
    amount: int
    reason: str | None
    """Stripe knows three: `duplicate`, `fraudulent`, `requested_by_customer`."""
    metadata: Mapping[str, str] = field(default_factory=dict)


class PaymentsGateway(Protocol):
    """What is asked of Stripe about payments; errors and keys as with `StripeGateway`."""

    async def get_charge(self, charge_id: str) -> StripeCharge: ...

    async def get_refund(self, refund_id: str) -> StripeRefund: ...

    async def get_dispute(self, dispute_id: str) -> StripeDispute: ...

    async def list_refunds(self, charge_id: str) -> tuple[StripeRefund, ...]:
        """Every refund of a charge, the newest first."""
        ...

    async def list_disputes(self, charge_id: str) -> tuple[StripeDispute, ...]:
        """Every dispute and inquiry about a charge, the newest first."""
        ...

    async def find_invoice_of(self, payment_intent_id: str) -> str | None:
        """The id of the invoice that a payment paid for."""
        ...

    async def list_charges_of(self, invoice_id: str) -> tuple[str, ...]:
        """The ids of the charges that paid an invoice; several where it was paid in parts."""
        ...

    async def create_refund(self, order: RefundOrder, *, key: str) -> StripeRefund:
        """Send money back. Raises `StripeRefused` where Stripe will not."""
        ...
