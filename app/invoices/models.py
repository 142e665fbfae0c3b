"""Invoices, their lines, and the counters of our own numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.invoices import domain
from app.invoices.document import Party
from app.invoices.domain import InvoiceOrigin, InvoiceStatus, Progress
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.periods import Period

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
    seller: Mapped[dict[str, Any]]
    customer: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime]

    @property
    def progress(self) -> Progress:
        return Progress(InvoiceStatus(self.status), self.attempt_count, self.amount_paid)

    def to_domain(self, lines: list[InvoiceLine]) -> domain.Invoice:
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
    quantity: Mapped[int | None]
    amount: Mapped[MinorUnits]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    is_proration: Mapped[bool]

    def to_domain(self, currency: Currency) -> domain.InvoiceLine:
        return domain.InvoiceLine(
            description=self.description,
            quantity=self.quantity,
            amount=Money(self.amount, currency),
            period=_period(self.period_start, self.period_end),
            is_proration=self.is_proration,
        )


class InvoiceNumberCounter(PlatformTable):
    """The last number a seller used in a year. Platform table: the series is the seller's."""

    __tablename__ = "invoice_number_counters"

    seller: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_number: Mapped[int]


def party_to_json(party: Party) -> dict[str, Any]:
    return {
        "name": party.name,
        "address": list(party.address),
        "email": party.email,
        "tax_id": party.tax_id,
    }


def party_from_json(stored: dict[str, Any]) -> Party:
    return Party(stored["name"], tuple(stored["address"]), stored["email"], stored["tax_id"])


def _period(start: datetime | None, end: datetime | None) -> Period | None:
    return Period(start, end) if start is not None and end is not None else None
