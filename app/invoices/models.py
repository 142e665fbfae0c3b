"""Invoices, their lines, and the counters of our own numbers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.infra.db.types import CurrencyCode, Exact, MinorUnits
from app.invoices import domain
from app.invoices.document import party_from_json
from app.invoices.domain import InvoiceOrigin, InvoiceStatus, LineKind, PaymentProblem, Progress
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.periods import Period

Cost = Annotated[Decimal, mapped_column(Numeric(60, 30))]
"""An exact amount: a price of twelve places times a quantity of twelve, or a part of a period."""

_STATUSES = ", ".join(f"'{status.value}'" for status in InvoiceStatus)


class Invoice(TenantTable):
    """An invoice of either origin; a mirrored one is found again by Stripe's id."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("organization_id", "stripe_invoice_id"),
        CheckConstraint(f"status in ({_STATUSES})", name="status_is_known"),
        CheckConstraint("origin in ('stripe', 'own')", name="origin_is_known"),
        CheckConstraint(
            "(origin = 'stripe') = (stripe_invoice_id is not null)", name="stripe_has_an_id"
        ),
        CheckConstraint("period_start < period_end", name="period_is_forward"),
        Index(None, "status", "paid_at"),
        # Operators name an invoice without its organization.
        Index(None, "id"),
        # What the run relies on: a window is billed once, whoever else is at it.
        Index(
            "uq_invoices_window",
            "organization_id",
            "period_start",
            unique=True,
            postgresql_where=text(
                "origin = 'own' and billing_reason = 'usage' and status <> 'void'"
            ),
        ),
    )

    origin: Mapped[str]
    stripe_invoice_id: Mapped[str | None]
    stripe_subscription_id: Mapped[str | None]
    number: Mapped[str | None]
    status: Mapped[str]
    billing_reason: Mapped[str | None]
    currency: Mapped[CurrencyCode]
    subtotal: Mapped[MinorUnits]
    discount: Mapped[MinorUnits]
    tax: Mapped[MinorUnits]
    total: Mapped[MinorUnits]
    amount_due: Mapped[MinorUnits]
    amount_paid: Mapped[MinorUnits]
    amount_remaining: Mapped[MinorUnits]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    created_at: Mapped[datetime]
    issued_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]
    attempt_count: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    hosted_invoice_url: Mapped[str | None]
    mirrored_discounts: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What Stripe's discounts are called and took off; none on an invoice of our own."""
    seller: Mapped[dict[str, Any]]
    customer: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime]
    # Of Stripe's invoices only:
    credited_before: Mapped[MinorUnits | None]
    """What credit notes took off `amount_due`; off those of ours they take nothing."""
    applied_ticket: Mapped[int | None]
    """Of the question whose answer this is, where it had a number."""

    @property
    def progress(self) -> Progress:
        return Progress(InvoiceStatus(self.status), self.attempt_count, self.amount_paid)

    def to_domain(self, lines: list[InvoiceLine], own: OwnInvoice | None = None) -> domain.Invoice:
        currency = Currency(self.currency)
        return domain.Invoice(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            origin=InvoiceOrigin(self.origin),
            stripe_invoice_id=self.stripe_invoice_id,
            stripe_subscription_id=self.stripe_subscription_id,
            number=self.number,
            status=InvoiceStatus(self.status),
            billing_reason=self.billing_reason,
            subtotal=Money(self.subtotal, currency),
            discount=Money(self.discount, currency),
            tax=Money(self.tax, currency),
            total=Money(self.total, currency),
            amount_due=Money(self.amount_due, currency),
            amount_paid=Money(self.amount_paid, currency),
            amount_remaining=Money(self.amount_remaining, currency),
            period=_period(self.period_start, self.period_end),
            created_at=self.created_at,
            issued_at=self.issued_at,
            due_at=self.due_at,
            paid_at=self.paid_at,
            voided_at=self.voided_at,
            attempt_count=self.attempt_count,
            next_attempt_at=self.next_attempt_at,
            hosted_invoice_url=self.hosted_invoice_url,
            seller=party_from_json(self.seller),
            customer=party_from_json(self.customer),
            lines=tuple(line.to_domain(currency) for line in lines),
            own=own.to_domain(currency) if own is not None else None,
            mirrored_discounts=tuple(
                _named(one, one["percent"], currency) for one in self.mirrored_discounts or ()
            ),
            credited_before=self.credited_before or 0,
        )


class InvoiceLine(TenantTable):
    """A line of an invoice, in its place."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"],
            ["invoices.organization_id", "invoices.id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("organization_id", "invoice_id", "position"),
    )

    invoice_id: Mapped[UUID]
    position: Mapped[int] = mapped_column(Integer)
    stripe_line_id: Mapped[str | None]
    description: Mapped[str]
    quantity: Mapped[Exact | None]
    amount: Mapped[MinorUnits]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    is_proration: Mapped[bool]
    # Of our own lines only:
    kind: Mapped[str | None]
    key: Mapped[str | None]
    """Names the charge over all documents of its window."""
    window_start: Mapped[datetime | None]
    unit_amount: Mapped[Exact | None]
    exact_amount: Mapped[Cost | None]
    """What was rounded to `amount`; none for an adjustment, which is a difference of amounts."""
    discount: Mapped[MinorUnits] = mapped_column(default=0)
    tax: Mapped[MinorUnits] = mapped_column(default=0)
    trace: Mapped[dict[str, Any] | None]
    """How `exact_amount` came about, step by step."""

    def to_domain(self, currency: Currency) -> domain.InvoiceLine:
        return domain.InvoiceLine(
            description=self.description,
            quantity=self.quantity,
            amount=Money(self.amount, currency),
            period=_period(self.period_start, self.period_end),
            is_proration=self.is_proration,
            kind=LineKind(self.kind) if self.kind is not None else None,
            unit_amount=self.unit_amount,
            discount=Money(self.discount, currency),
            tax=Money(self.tax, currency),
        )


class InvoiceNumberCounter(PlatformTable):
    """The last number a seller used in a year. Platform table: the series is the seller's."""

    __tablename__ = "invoice_number_counters"

    seller: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_number: Mapped[int]
    last_hash: Mapped[str | None]
    """Of the proof of the invoice with that number; none where it has none."""


class OwnInvoice(TenantTable):
    """What an invoice of our own says beside what every invoice says; one row for each."""

    __tablename__ = "own_invoices"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "id"],
            ["invoices.organization_id", "invoices.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("creditable >= 0", name="credit_notes_are_within_it"),
        CheckConstraint("credit_applied >= 0", name="credit_is_not_negative"),
    )

    plan: Mapped[str]
    """What counted where no plan was given."""
    given_plan: Mapped[str | None]
    catalog_version: Mapped[UUID | None]
    with_fee: Mapped[bool]
    at_cost: Mapped[bool]
    rounding: Mapped[str]
    tax_rate: Mapped[Exact | None]
    """As an operator asked for it; none where details and settings decide."""
    taxes: Mapped[list[Any]]
    discounts: Mapped[list[Any]]
    notes: Mapped[list[str]]
    collection: Mapped[str]
    payment_problem: Mapped[str | None]
    """Why collecting through Stripe has not worked, as far as is known."""
    finalize_after: Mapped[datetime] = mapped_column(index=True)
    credit_applied: Mapped[MinorUnits] = mapped_column(default=0)
    credit_entries: Mapped[list[Any]]
    creditable: Mapped[MinorUnits] = mapped_column(default=0)
    """What credit notes may still take back; nothing before it is issued."""

    def to_domain(self, currency: Currency) -> domain.OwnPart:
        return domain.OwnPart(
            plan=self.given_plan or self.plan,
            collection=self.collection,
            payment_problem=PaymentProblem(self.payment_problem) if self.payment_problem else None,
            rounding=self.rounding,
            taxes=tuple(_named(one, one["rate"], currency) for one in self.taxes),
            discounts=tuple(_named(one, one["percent"], currency) for one in self.discounts),
            notes=tuple(self.notes),
            credit_applied=Money(self.credit_applied, currency),
            creditable=Money(self.creditable, currency),
            finalize_after=self.finalize_after,
        )


class InvoiceProof(TenantTable):
    """What an invoice of our own rests on, as it was issued; one row for each, never changed.

    `document` is the text that was hashed, to the letter; `place` is its number in the series.
    """

    __tablename__ = "invoice_proofs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "id"], ["invoices.organization_id", "invoices.id"]
        ),
        Index(None, "seller", "year", "place"),
    )

    seller: Mapped[str]
    year: Mapped[int] = mapped_column(Integer)
    place: Mapped[int]
    previous_hash: Mapped[str | None]
    hash: Mapped[str]
    document: Mapped[str]


class BilledWindow(TenantTable):
    """A window that was billed: under which terms, and how its usage looked when it was rated."""

    __tablename__ = "billed_windows"

    id = None  # type: ignore[assignment]
    window_start: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-18)
    window_end: Mapped[datetime]
    plan: Mapped[str]
    catalog_version: Mapped[UUID | None]
    at_cost: Mapped[bool]
    fingerprint: Mapped[str]
    rated_at: Mapped[datetime]


class BillingDetails(TenantTable):
    """Who an organization's invoices are made out to, and how they are taxed and collected."""

    __tablename__ = "billing_details"
    __table_args__ = (
        UniqueConstraint("organization_id"),
        CheckConstraint("tax_rate between 0 and 1", name="tax_rate_is_a_share"),
        CheckConstraint("collection in ('stripe', 'transfer')", name="collection_is_known"),
    )

    legal_name: Mapped[str | None]
    address: Mapped[list[str]]
    country: Mapped[str | None]
    email: Mapped[str | None]
    tax_id: Mapped[str | None]
    tax_rate: Mapped[Exact | None]
    collection: Mapped[str | None]
    updated_at: Mapped[datetime]


class InvoicePayment(TenantTable):
    """Money that came in for an invoice of our own."""

    __tablename__ = "invoice_payments"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"], ["invoices.organization_id", "invoices.id"]
        ),
        Index(None, "organization_id", "invoice_id"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("method in ('stripe', 'transfer')", name="method_is_known"),
    )

    invoice_id: Mapped[UUID]
    method: Mapped[str]
    amount: Mapped[MinorUnits]
    reference: Mapped[str | None]
    received_at: Mapped[datetime]


class InvoiceRequest(TenantTable):
    """A request at Stripe to pay an invoice of our own; its id is the key of every call."""

    __tablename__ = "invoice_requests"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"], ["invoices.organization_id", "invoices.id"]
        ),
        Index(None, "organization_id", "invoice_id"),
        # What keeps two from asking for the same money.
        Index(
            "uq_invoice_requests_asking",
            "organization_id",
            "invoice_id",
            unique=True,
            postgresql_where=text("state in ('reserved', 'open')"),
        ),
        CheckConstraint(
            "state in ('reserved', 'open', 'stopping', 'stopped', 'paid', 'void')",
            name="state_is_known",
        ),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint("surplus >= 0", name="surplus_is_not_negative"),
    )

    invoice_id: Mapped[UUID]
    state: Mapped[str]
    amount: Mapped[MinorUnits]
    surplus: Mapped[MinorUnits]
    """What was paid though it was not owed any more; it became credit."""
    stripe_customer_id: Mapped[str]
    payment_method_id: Mapped[str | None]
    stripe_invoice_id: Mapped[str | None]
    attempt: Mapped[int]
    """The highest attempt whose failure was announced; -1 before there was one."""
    created_at: Mapped[datetime]


def _named(stored: dict[str, Any], rate: str | None, currency: Currency) -> domain.Named:
    share = Decimal(rate) if rate is not None else None
    return domain.Named(stored["name"], share, Money(stored["amount"], currency))


def _period(start: datetime | None, end: datetime | None) -> Period | None:
    return Period(start, end) if start is not None and end is not None else None
