"""Charges, refunds and disputes. Each is found again by Stripe's id of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Sequence, text
from sqlalchemy.orm import Mapped

from app.infra.db.base import TenantTable, metadata
from app.infra.db.types import CurrencyCode, MinorUnits
from app.kernel.ids import OrganizationId
from app.payments import domain

SYNC_TICKETS = Sequence("payment_sync_tickets", metadata=metadata)
"""Numbers the questions about charges, in the order in which they were put."""


class Charge(TenantTable):
    """A charge as Stripe last described it. Its row is the lock for all that goes back."""

    __tablename__ = "charges"
    __table_args__ = (
        Index(None, "organization_id", "stripe_charge_id", unique=True),
        Index(None, "organization_id", "stripe_invoice_id"),
        Index(None, "created_at", "id"),
        CheckConstraint("amount >= 0", name="amount_is_no_debt"),
        CheckConstraint("amount_refunded between 0 and amount", name="no_more_back_than_in"),
    )

    stripe_charge_id: Mapped[str]
    stripe_payment_intent_id: Mapped[str | None]
    stripe_invoice_id: Mapped[str | None]
    stripe_customer_id: Mapped[str | None]
    amount: Mapped[MinorUnits]
    amount_refunded: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    status: Mapped[str]
    is_disputed: Mapped[bool]
    description: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    created_at: Mapped[datetime]
    applied_ticket: Mapped[int]
    synced_at: Mapped[datetime]


class Refund(TenantTable):
    """Money back. One that was asked for here is a row before Stripe hears of it."""

    __tablename__ = "refunds"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "charge_id"], ["charges.organization_id", "charges.id"]
        ),
        Index(None, "organization_id", "stripe_refund_id", unique=True),
        Index(None, "organization_id", "charge_id"),
        Index(None, "id"),
        Index(
            "ix_refunds_requested", "next_attempt_at", postgresql_where=text("status = 'requested'")
        ),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint(
            "(stripe_refund_id is null) = (status in ('requested', 'refused'))",
            name="stripe_has_an_id",
        ),
    )

    charge_id: Mapped[UUID]
    stripe_refund_id: Mapped[str | None]
    amount: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    status: Mapped[str]
    reason: Mapped[str | None]
    failure_reason: Mapped[str | None]
    requested_by: Mapped[str | None]
    created_at: Mapped[datetime]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]

    @property
    def idempotency_key(self) -> str:
        return f"refund:{self.id}"

    def to_domain(self, charge: Charge) -> domain.Refund:
        return domain.Refund(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            stripe_refund_id=self.stripe_refund_id,
            stripe_charge_id=charge.stripe_charge_id,
            stripe_invoice_id=charge.stripe_invoice_id,
            amount=self.amount,
            currency=self.currency,
            status=self.status,
            reason=self.reason,
            failure_reason=self.failure_reason,
            requested_by=self.requested_by,
            created_at=self.created_at,
            attempts=self.attempts,
        )


class Dispute(TenantTable):
    """A dispute or an inquiry as Stripe last described it."""

    __tablename__ = "disputes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "charge_id"], ["charges.organization_id", "charges.id"]
        ),
        Index(None, "organization_id", "stripe_dispute_id", unique=True),
        Index(None, "organization_id", "charge_id"),
        Index(None, "id"),
    )

    charge_id: Mapped[UUID]
    stripe_dispute_id: Mapped[str]
    amount: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    reason: Mapped[str]
    status: Mapped[str]
    is_charge_refundable: Mapped[bool]
    respond_by: Mapped[datetime | None]
    opened_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    reinstated_at: Mapped[datetime | None]
    """When its amount was taken, and when it came back."""
    has_suspended: Mapped[bool]
    """Whether its organization was suspended because of it, and is so still."""

    def to_domain(self, charge: Charge) -> domain.Dispute:
        return domain.Dispute(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            stripe_dispute_id=self.stripe_dispute_id,
            stripe_charge_id=charge.stripe_charge_id,
            stripe_invoice_id=charge.stripe_invoice_id,
            amount=self.amount,
            currency=self.currency,
            reason=self.reason,
            status=self.status,
            is_charge_refundable=self.is_charge_refundable,
            respond_by=self.respond_by,
            opened_at=self.opened_at,
        )
