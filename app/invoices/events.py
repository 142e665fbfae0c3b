"""What happened to invoices."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class InvoiceIssued(Fact):
    """An invoice is final in its figures and asks for payment, or was paid at once."""

    organization_id: UUID
    invoice_id: UUID


@dataclass(frozen=True, slots=True)
class OwnPaymentFailed(Fact):
    """An attempt to collect an invoice of our own failed at Stripe."""

    organization_id: UUID
    invoice_id: UUID
    stripe_invoice_id: str
    attempt: int
    failed_at: datetime
    amount_due: int
    currency: str
    next_attempt_at: datetime | None
    pay_url: str | None


@dataclass(frozen=True, slots=True)
class OwnPaymentActionRequired(Fact):
    """The customer's bank asks for a confirmation before an invoice of our own is paid."""

    organization_id: UUID
    invoice_id: UUID
    stripe_invoice_id: str
    amount_due: int
    currency: str
    pay_url: str | None


@dataclass(frozen=True, slots=True)
class OwnPaymentRecovered(Fact):
    """An invoice of our own was paid through Stripe after an attempt had failed."""

    organization_id: UUID
    invoice_id: UUID
    stripe_invoice_id: str


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


@dataclass(frozen=True, slots=True)
class PaidTooMuch(Fact):
    """Stripe took in more than an invoice of ours asked for; the rest became credit."""

    organization_id: UUID
    invoice_id: UUID
    number: str
    amount: int
    currency: str
    stripe_invoice_id: str
