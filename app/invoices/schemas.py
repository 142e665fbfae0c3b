"""Invoices on the wire: owed money in minor units beside a currency."""

from __future__ import annotations

from app.infra.http.schemas import Instant, OutputModel, prefixed_id
from app.invoices.domain import Invoice, InvoiceLine, InvoiceOrigin, InvoiceStatus

InvoiceIdOnWire = prefixed_id("inv")


class InvoiceLineOut(OutputModel):
    """One line."""

    description: str
    quantity: int | None
    amount: int
    period_start: Instant | None
    period_end: Instant | None
    proration: bool

    @classmethod
    def from_domain(cls, line: InvoiceLine) -> InvoiceLineOut:
        return cls(
            description=line.description,
            quantity=line.quantity,
            amount=line.amount.minor,
            period_start=line.period.start if line.period else None,
            period_end=line.period.end if line.period else None,
            proration=line.is_proration,
        )


class InvoiceOut(OutputModel):
    """An invoice. `origin` says who issued it: `stripe`, or this service (`own`).

    `invoice_pdf` is this service's own document; `hosted_invoice_url` is Stripe's page to pay on.
    """

    id: InvoiceIdOnWire  # type: ignore[valid-type]
    number: str | None
    origin: InvoiceOrigin
    stripe_invoice_id: str | None
    status: InvoiceStatus
    paid: bool
    billing_reason: str | None
    currency: str
    subtotal: int
    discount: int
    tax: int
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    created: Instant
    issued_at: Instant | None
    due_date: Instant | None
    paid_at: Instant | None
    period_start: Instant | None
    period_end: Instant | None
    next_payment_attempt: Instant | None
    invoice_pdf: str
    hosted_invoice_url: str | None
    lines: list[InvoiceLineOut]

    @classmethod
    def from_domain(cls, invoice: Invoice, pdf_url: str) -> InvoiceOut:
        return cls(
            id=invoice.id,
            number=invoice.number,
            origin=invoice.origin,
            stripe_invoice_id=invoice.stripe_invoice_id,
            status=invoice.status,
            paid=invoice.is_paid,
            billing_reason=invoice.billing_reason,
            currency=invoice.total.currency,
            subtotal=invoice.subtotal.minor,
            discount=invoice.discount.minor,
            tax=invoice.tax.minor,
            total=invoice.total.minor,
            amount_due=invoice.amount_due.minor,
            amount_paid=invoice.amount_paid.minor,
            amount_remaining=invoice.still_owed.minor,
            created=invoice.created_at,
            issued_at=invoice.issued_at,
            due_date=invoice.due_at,
            paid_at=invoice.paid_at,
            period_start=invoice.period.start if invoice.period else None,
            period_end=invoice.period.end if invoice.period else None,
            next_payment_attempt=invoice.next_attempt_at,
            invoice_pdf=pdf_url,
            hosted_invoice_url=invoice.hosted_invoice_url,
            lines=[InvoiceLineOut.from_domain(line) for line in invoice.lines],
        )
