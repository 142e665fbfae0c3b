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
