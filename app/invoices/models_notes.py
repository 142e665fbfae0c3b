"""Credit notes, ours and those that were made at Stripe."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import TenantTable
from app.infra.db.types import CurrencyCode, MinorUnits
from app.invoices import domain


class CreditNote(TenantTable):
    """A correction of an issued invoice. Never changed, but for what becomes of its refund."""

    __tablename__ = "credit_notes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"], ["invoices.organization_id", "invoices.id"]
        ),
        UniqueConstraint("organization_id", "number"),
        Index(None, "organization_id", "invoice_id"),
        CheckConstraint("kind in ('correction', 'goodwill')", name="kind_is_known"),
        CheckConstraint(
            "settlement in ('reduction', 'credit', 'refund')", name="settlement_is_known"
        ),
        CheckConstraint("total = net + tax and total > 0", name="total_adds_up"),
        CheckConstraint(
            "(settlement = 'refund') = (refund_way is not null)"
            " and (refund_way is null) = (refund_state is null)",
            name="a_refund_goes_some_way",
        ),
        CheckConstraint("refund_way in ('stripe', 'transfer')", name="refund_way_is_known"),
        CheckConstraint(
            "refund_state in ('requested', 'pending', 'made', 'failed')",
            name="refund_state_is_known",
        ),
        # Operators and jobs name a note without its organization.
        Index(None, "id"),
    )

    invoice_id: Mapped[UUID]
    number: Mapped[str]
    kind: Mapped[str]
    settlement: Mapped[str]
    reason: Mapped[str]
    currency: Mapped[CurrencyCode]
    net: Mapped[MinorUnits]
    tax: Mapped[MinorUnits]
    total: Mapped[MinorUnits]
    issued_at: Mapped[datetime]
    refund_reference: Mapped[str | None]
    refund_way: Mapped[str | None]
    refund_state: Mapped[str | None]
    refund_failure: Mapped[str | None]
    refunded_at: Mapped[datetime | None]

    @property
    def refund(self) -> domain.NoteRefund | None:
        if self.refund_way is None or self.refund_state is None:
            return None
        return domain.NoteRefund(
            way=domain.RefundWay(self.refund_way),
            state=domain.RefundState(self.refund_state),
            reference=self.refund_reference,
            failure=self.refund_failure,
            refunded_at=self.refunded_at,
        )


class CreditNoteLine(TenantTable):
    """What a credit note takes back of one line."""

    __tablename__ = "credit_note_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "credit_note_id"],
            ["credit_notes.organization_id", "credit_notes.id"],
        ),
        ForeignKeyConstraint(
            ["organization_id", "line_id"],
            ["invoice_lines.organization_id", "invoice_lines.id"],
        ),
        UniqueConstraint("organization_id", "credit_note_id", "line_id"),
    )

    credit_note_id: Mapped[UUID]
    line_id: Mapped[UUID]
    amount: Mapped[MinorUnits]
    """Of the line's amount, before discount."""
    net: Mapped[MinorUnits]
    tax: Mapped[MinorUnits]


class StripeNote(TenantTable):
    """A credit note that was made at Stripe for an invoice of Stripe's."""

    __tablename__ = "stripe_credit_notes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "invoice_id"], ["invoices.organization_id", "invoices.id"]
        ),
        UniqueConstraint("organization_id", "stripe_credit_note_id"),
        Index(None, "organization_id", "invoice_id"),
    )

    invoice_id: Mapped[UUID]
    stripe_credit_note_id: Mapped[str]
    number: Mapped[str]
    reason: Mapped[str | None]
    memo: Mapped[str | None]
    currency: Mapped[CurrencyCode]
    total: Mapped[MinorUnits]
    tax: Mapped[MinorUnits]
    before_payment: Mapped[MinorUnits]
    to_balance: Mapped[MinorUnits]
    """What went to the customer's balance at Stripe."""
    by_hand: Mapped[MinorUnits]
    refunds: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """Stripe's ids of refunds that belong to it, each with the amount that does."""
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    issued_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]
