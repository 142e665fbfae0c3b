"""What happened to invoices."""

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class InvoiceIssued(Fact):
    """An invoice is final in its figures and asks for payment, or was paid at once."""

    organization_id: UUID
    invoice_id: UUID


@dataclass(frozen=True, slots=True)
class InvoicePaid(Fact):
    """An invoice has been paid in full."""

    organization_id: UUID
    invoice_id: UUID
    billing_reason: str | None
    amount_paid: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundPromised(Fact):
    """A credit note gives back what came through Stripe."""

    organization_id: UUID
    credit_note_id: UUID


@dataclass(frozen=True, slots=True)
class PromiseBroken(Fact):
    """Stripe did not send back what a credit note promised; somebody has to."""

    organization_id: UUID
    credit_note_id: UUID
    number: str
    amount: int
    currency: str
    reason: str
