"""Invoices on the wire: owed money in minor units beside a currency."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, EmailStr, Field

from app.infra.http.schemas import (
    DecimalString,
    InputModel,
    Instant,
    InstantIn,
    OutputModel,
    prefixed_id,
)
from app.invoices.domain import (
    Details,
    Invoice,
    InvoiceLine,
    InvoiceOrigin,
    InvoiceStatus,
    LineKind,
    Named,
    OwnPreview,
    PaymentProblem,
    PreviewedLine,
    RunReport,
)
from app.invoices.wire.notes import MOST, CreditNoteOut, InvoiceIdOnWire
from app.kernel.periods import Period, calendar_month
from app.kernel.rates import plain
from app.subscriptions.domain import ChangePreview, PreviewLine

TaxRateIn = Annotated[
    Decimal, Field(ge=0, le=1, max_digits=13, decimal_places=12, examples=["0.19"])
]


def _whole_or_text(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else plain(value)
    return value


Quantity = Annotated[int | str, BeforeValidator(_whole_or_text)]
"""A count; what is no whole number is written as a decimal text."""


class InvoiceLineOut(OutputModel):
    """One line. `kind` is null on Stripe's; `amount` is before `discount` and `tax`.

    `index` is its place, the first is 0: what credit notes name it by.
    """

    index: int
    description: str
    kind: LineKind | None
    quantity: Quantity | None
    unit_price: DecimalString | None
    amount: int
    discount: int
    tax: int
    period_start: Instant | None
    period_end: Instant | None
    proration: bool

    @classmethod
    def from_domain(cls, line: InvoiceLine, index: int) -> InvoiceLineOut:
        return cls(
            index=index,
            description=line.description,
            kind=line.kind,
            quantity=line.quantity,
            unit_price=line.unit_amount,
            amount=line.amount.minor,
            discount=line.discount.minor,
            tax=line.tax.minor,
            period_start=line.period.start if line.period else None,
            period_end=line.period.end if line.period else None,
            proration=line.is_proration,
        )


class NamedAmountOut(OutputModel):
    """A tax or a discount, with its share where it is one."""

    name: str
    rate: DecimalString | None
    amount: int

    @classmethod
    def from_domain(cls, named: Named) -> NamedAmountOut:
        return cls(name=named.name, rate=named.rate, amount=named.amount.minor)


class InvoiceOut(OutputModel):
    """An invoice. `origin` says who issued it: `stripe`, or this service (`own`).

    `invoice_pdf` is this service's own document; `hosted_invoice_url` is Stripe's page to pay on.
    What came after it was issued stands beside it, not in its figures and not on its PDF:
    `amount_credited` is the sum of its `credit_notes`, `amount_refunded` is what went back of what
    was paid, also without a credit note.
    """

    id: InvoiceIdOnWire
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
    amount_credited: int
    amount_refunded: int
    created: Instant
    issued_at: Instant | None
    due_date: Instant | None
    paid_at: Instant | None
    period_start: Instant | None
    period_end: Instant | None
    next_payment_attempt: Instant | None
    payment_problem: PaymentProblem | None
    invoice_pdf: str
    hosted_invoice_url: str | None
    lines: list[InvoiceLineOut]
    plan: str | None
    taxes: list[NamedAmountOut]
    discounts: list[NamedAmountOut]
    credit_applied: int
    notes: list[str]
    collection: str | None
    finalize_after: Instant | None
    credit_notes: list[CreditNoteOut]

    @classmethod
    def from_domain(cls, invoice: Invoice, pdf_url: str) -> InvoiceOut:
        own = invoice.own
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
            amount_credited=invoice.credited,
            amount_refunded=invoice.refunded,
            created=invoice.created_at,
            issued_at=invoice.issued_at,
            due_date=invoice.due_at,
            paid_at=invoice.paid_at,
            period_start=invoice.period.start if invoice.period else None,
            period_end=invoice.period.end if invoice.period else None,
            next_payment_attempt=invoice.next_attempt_at,
            payment_problem=invoice.payment_problem,
            invoice_pdf=pdf_url,
            hosted_invoice_url=invoice.hosted_invoice_url,
            lines=[
                InvoiceLineOut.from_domain(line, index) for index, line in enumerate(invoice.lines)
            ],
            plan=own.plan if own else None,
            taxes=[NamedAmountOut.from_domain(one) for one in own.taxes] if own else [],
            discounts=[NamedAmountOut.from_domain(one) for one in invoice.discounts],
            credit_applied=own.credit_applied.minor if own else 0,
            notes=list(own.notes) if own else [],
            collection=own.collection if own else None,
            finalize_after=own.finalize_after if own else None,
            credit_notes=[CreditNoteOut.from_domain(note) for note in invoice.credit_notes],
        )


class UpcomingLineOut(OutputModel):
    description: str
    amount: int
    currency: str
    period_start: Instant | None
    period_end: Instant | None
    proration: bool

    @classmethod
    def from_domain(cls, line: PreviewLine) -> UpcomingLineOut:
        return cls(
            description=line.description,
            amount=line.amount,
            currency=line.currency,
            period_start=line.period.start if line.period else None,
            period_end=line.period.end if line.period else None,
            proration=line.is_proration,
        )


class OwnUpcomingLineOut(OutputModel):
    kind: LineKind
    description: str
    quantity: Quantity | None
    unit_price: DecimalString | None
    amount: int
    period_start: Instant
    period_end: Instant

    @classmethod
    def from_domain(cls, line: PreviewedLine) -> OwnUpcomingLineOut:
        return cls(
            kind=line.kind,
            description=line.description,
            quantity=line.quantity,
            unit_price=line.unit_amount,
            amount=line.amount.minor,
            period_start=line.period.start,
            period_end=line.period.end,
        )


class OwnUpcomingOut(OutputModel):
    """Our own next invoice as it stands; `credit` is what prepaid credit would take off."""

    period_start: Instant
    period_end: Instant
    currency: str
    lines: list[OwnUpcomingLineOut]
    discount: int
    tax: int
    total: int
    credit: int
    amount_due: int

    @classmethod
    def from_domain(cls, preview: OwnPreview) -> OwnUpcomingOut:
        return cls(
            period_start=preview.period.start,
            period_end=preview.period.end,
            currency=preview.total.currency,
            lines=[OwnUpcomingLineOut.from_domain(line) for line in preview.lines],
            discount=preview.discount.minor,
            tax=preview.tax.minor,
            total=preview.total.minor,
            credit=preview.credit.minor,
            amount_due=preview.amount_due.minor,
        )


class UpcomingOut(OutputModel):
    """What comes next. `lines` and `amount_due` are Stripe's renewal at `due_at`, empty where
    nothing renews; `own` is what this service bills for the running period."""

    lines: list[UpcomingLineOut]
    amount_due: int
    currency: str
    due_at: Instant
    own: OwnUpcomingOut | None

    @classmethod
    def from_domain(cls, renewal: ChangePreview | None, own: OwnPreview | None) -> UpcomingOut:
        ours = OwnUpcomingOut.from_domain(own) if own is not None else None
        if renewal is not None:
            return cls(
                lines=[UpcomingLineOut.from_domain(line) for line in renewal.lines],
                amount_due=renewal.amount_due,
                currency=renewal.currency,
                due_at=renewal.effective_at,
                own=ours,
            )
        if ours is None:
            raise ValueError("nothing comes next")
        return cls(lines=[], amount_due=0, currency=ours.currency, due_at=ours.period_end, own=ours)


class ProofOut(OutputModel):
    """What an invoice follows from, and the SHA-256 of that."""

    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    proof: dict[str, Any]


class GenerateIn(InputModel):
    """Which window of whom, and at which tax rate; without one the agreed rate counts."""

    organization_id: prefixed_id("org")  # type: ignore[valid-type]
    period: Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]
    tax_rate: TaxRateIn | None = None

    @property
    def month(self) -> Period:
        year, month = self.period.split("-")
        return calendar_month(datetime(int(year), int(month), 1, tzinfo=UTC))


class ReasonIn(InputModel):
    """Why, for the audit log."""

    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class PaidIn(InputModel):
    """Money that came in; without an amount all that is owed."""

    amount: Annotated[int, Field(gt=0, le=MOST)] | None = None
    reference: Annotated[str, Field(max_length=200)] | None = None
    received_at: InstantIn | None = None


class RunOut(OutputModel):
    """What a run did."""

    drafted: int
    issued: int
    waiting_for_prices: int
    failed: int

    @classmethod
    def from_domain(cls, report: RunReport) -> RunOut:
        return cls(
            drafted=report.drafted,
            issued=report.issued,
            waiting_for_prices=report.waiting_for_prices,
            failed=report.failed,
        )


class BillingDetailsIn(InputModel):
    """Who invoices are made out to."""

    legal_name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    address: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=6)
    ] = []
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["DE"])] | None = None
    email: EmailStr | None = None
    tax_id: Annotated[str, Field(min_length=1, max_length=50)] | None = None

    def to_domain(self) -> Details:
        return Details(
            legal_name=self.legal_name,
            address=tuple(self.address),
            country=self.country,
            email=self.email,
            tax_id=self.tax_id,
        )


class BillingDetailsOut(OutputModel):
    """`tax_rate` and `collection` are agreed with the operators."""

    legal_name: str | None
    address: list[str]
    country: str | None
    email: str | None
    tax_id: str | None
    tax_rate: DecimalString | None
    collection: Literal["stripe", "transfer"] | None

    @classmethod
    def from_domain(cls, details: Details) -> BillingDetailsOut:
        return cls.model_validate(details)


class AgreementIn(InputModel):
    """What operators decide about an organization's invoices."""

    tax_rate: TaxRateIn | None = None
    collection: Literal["stripe", "transfer"] | None = None
