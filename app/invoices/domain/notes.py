"""Credit notes as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.invoices.document import Party
from app.kernel.ids import OrganizationId
from app.kernel.money import Money


class NoteKind(StrEnum):
    """Why something is taken back."""

    CORRECTION = "correction"
    """It should not have been billed: later adjustments take it as not billed."""
    GOODWILL = "goodwill"
    """It was right and is given back all the same."""


class Settlement(StrEnum):
    """What becomes of the amount."""

    REDUCTION = "reduction"
    """Less is left to pay; the only way while the invoice is open."""
    CREDIT = "credit"
    """It becomes prepaid credit."""
    REFUND = "refund"
    """It goes back the way it came; at most what came."""
    BALANCE = "customer_balance"
    """It goes to the customer's balance at Stripe, which pays for invoices there."""


class RefundWay(StrEnum):
    """How a credit note's refund goes back."""

    STRIPE = "stripe"
    """To the card or account that paid there, by itself."""
    TRANSFER = "transfer"
    """By hand; a reference says that it was sent."""


class RefundState(StrEnum):
    """How far a credit note's refund has come."""

    REQUESTED = "requested"
    """Promised and not sent yet."""
    PENDING = "pending"
    """On its way."""
    MADE = "made"
    FAILED = "failed"
    """Refused, or returned by the bank; it is sent another way."""

    @property
    def has_left(self) -> bool:
        """Whether the money is no longer ours."""
        return self in {RefundState.PENDING, RefundState.MADE}


@dataclass(frozen=True, slots=True)
class NoteRequest:
    """What an operator wants taken back: by the line's place, how much of its amount; nothing
    named is all that is left."""

    amounts: Mapping[int, int | None]
    kind: NoteKind
    reason: str
    settlement: Settlement | None = None
    refund_reference: str | None = None


@dataclass(frozen=True, slots=True)
class NoteRefund:
    """What became of the money that a credit note promised."""

    way: RefundWay
    state: RefundState
    reference: str | None
    """Of a transfer; at Stripe the refund has the note's own id."""
    failure: str | None
    refunded_at: datetime | None


@dataclass(frozen=True, slots=True)
class NotedLine:
    """What a credit note takes back of a line, by the line's place on its invoice; notes of
    Stripe's may have lines of their own."""

    position: int | None
    description: str
    amount: Money
    """Before the line's discount."""
    net: Money
    tax: Money


@dataclass(frozen=True, slots=True)
class Noted:
    """A credit note as it was issued; only `refund` and `voided_at` change afterwards."""

    id: UUID
    organization_id: OrganizationId
    invoice_id: UUID
    invoice_number: str
    number: str
    kind: NoteKind
    settlement: Settlement
    reason: str
    net: Money
    tax: Money
    total: Money
    issued_at: datetime
    lines: tuple[NotedLine, ...]
    refund: NoteRefund | None
    """None where nothing is refunded."""
    seller: Party
    customer: Party
    voided_at: datetime | None = None
    """Only notes of Stripe's are ever void."""
    by_hand: Money | None = None
    """What of a note of Stripe's was given back outside of it."""


@dataclass(frozen=True, slots=True)
class PromisedRefund:
    """Money that Stripe is to send back for a credit note."""

    note_id: UUID
    number: str
    amount: int
    stripe_invoice_id: str
    """The invoice at Stripe that collected what is now given back."""
