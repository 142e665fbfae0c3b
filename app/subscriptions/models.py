"""The mirror of Stripe's subscriptions, and what we have asked Stripe for."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Sequence, text
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import TenantTable, metadata
from app.kernel.periods import Period
from app.subscriptions.given import GivenBilling, Stretch

SYNC_TICKETS = Sequence("subscription_sync_tickets", metadata=metadata)
"""Numbers the questions put to Stripe, in the order in which they were put."""


class Subscription(TenantTable):
    """A subscription as Stripe last described it."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "organization_id", "stripe_subscription_id", unique=True),
        CheckConstraint("period_start < period_end", name="period_is_forward"),
        CheckConstraint("window_start < window_end", name="window_is_forward"),
    )

    stripe_subscription_id: Mapped[str]
    stripe_customer_id: Mapped[str]
    status: Mapped[str]
    plan: Mapped[str]
    catalog_version: Mapped[UUID]
    price_id: Mapped[str]
    interval: Mapped[str]
    amount: Mapped[int | None]
    currency: Mapped[str]
    created_at: Mapped[datetime]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool]
    cancel_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    trial_started_at: Mapped[datetime | None]
    """When a trial began, if there ever was one; it is never taken back."""
    trial_end: Mapped[datetime | None]
    trial_told_for: Mapped[datetime | None]
    """The end of trial that was announced."""
    end_reason: Mapped[str | None]
    pause_kind: Mapped[str | None]
    pause_reason: Mapped[str | None]
    pause_resumes_at: Mapped[datetime | None]
    awaits_first_payment: Mapped[bool]
    schedule_id: Mapped[str | None]
    pending_plan: Mapped[str | None]
    pending_interval: Mapped[str | None]
    pending_effective_at: Mapped[datetime | None]
    pending_reason: Mapped[str | None]
    open_invoice_url: Mapped[str | None]
    pay_url: Mapped[str | None]
    """Where to pay: the latest invoice, else an older one whose collection failed."""
    default_payment_method_id: Mapped[str | None]
    past_due_seen_at: Mapped[datetime | None]
    first_failed_at: Mapped[datetime | None]
    is_duplicate: Mapped[bool]
    applied_ticket: Mapped[int]
    synced_at: Mapped[datetime]

    @property
    def window(self) -> Period | None:
        """The quota window that was last paid for."""
        if self.window_start is None or self.window_end is None:
            return None
        return Period(self.window_start, self.window_end)


class InvoiceCollection(TenantTable):
    """How collecting an invoice went: when it first failed, what was told, and when it was settled.

    The row outlives the settlement, so that an answer from before it cannot bring the failure back.
    """

    __tablename__ = "invoice_collections"
    __table_args__ = (
        Index(None, "organization_id", "stripe_invoice_id", unique=True),
        Index(
            "ix_invoice_collections_unsettled",
            "organization_id",
            "stripe_subscription_id",
            postgresql_where=text("settled_at is null"),
        ),
    )

    stripe_subscription_id: Mapped[str]
    stripe_invoice_id: Mapped[str]
    billing_reason: Mapped[str | None]
    first_failed_at: Mapped[datetime | None]
    attempt: Mapped[int]
    """The last attempt whose failure was announced; -1 for none."""
    pay_url: Mapped[str | None]
    settled_at: Mapped[datetime | None]


class PaidPeriod(TenantTable):
    """A period that was paid for, and so opened a quota window; once for ever."""

    __tablename__ = "paid_periods"
    __table_args__ = (
        Index(None, "organization_id", "stripe_subscription_id", "starts_at", unique=True),
        CheckConstraint("starts_at < ends_at", name="period_is_forward"),
    )

    stripe_subscription_id: Mapped[str]
    stripe_invoice_id: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    opened_at: Mapped[datetime]


class CustomerRegistration(TenantTable):
    """The wish to be a customer at Stripe; its id is the key under which Stripe makes one."""

    __tablename__ = "customer_registrations"
    __table_args__ = (
        Index(
            "uq_customer_registrations_current",
            "organization_id",
            unique=True,
            postgresql_where=text("is_current"),
        ),
    )

    name: Mapped[str]
    email: Mapped[str | None]
    stripe_customer_id: Mapped[str | None] = mapped_column(index=True)
    is_current: Mapped[bool]
    created_at: Mapped[datetime]

    @property
    def idempotency_key(self) -> str:
        return f"customer:{self.id}"


class CheckoutAttempt(TenantTable):
    """A visit to the payment page, asked for and perhaps made. At most one is in play."""

    __tablename__ = "checkout_attempts"
    __table_args__ = (
        Index(
            "uq_checkout_attempts_in_play",
            "organization_id",
            unique=True,
            postgresql_where=text("state in ('reserved', 'open')"),
        ),
        CheckConstraint(
            "state in ('reserved', 'open', 'complete', 'expired', 'failed')",
            name="state_is_known",
        ),
    )

    plan: Mapped[str]
    interval: Mapped[str]
    price_ids: Mapped[list[Any]]
    stripe_customer_id: Mapped[str]
    success_url: Mapped[str]
    cancel_url: Mapped[str]
    trial_days: Mapped[int]
    promo_code: Mapped[str | None]
    promotion_code_id: Mapped[str | None]
    order_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    state: Mapped[str]
    stripe_session_id: Mapped[str | None] = mapped_column(index=True)
    stripe_subscription_id: Mapped[str | None]
    has_failed: Mapped[bool]
    """The page was completed and the money did not come, days later."""
    url: Mapped[str | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def idempotency_key(self) -> str:
        return f"checkout:{self.id}"


PUT_ASIDE = "put_aside"
"""Where a cancellation remembers the plan that was to follow."""


class RequestedChange(TenantTable):
    """A change of a subscription that somebody asked for. At most one is under way."""

    __tablename__ = "subscription_changes"
    __table_args__ = (
        Index(
            "uq_subscription_changes_under_way",
            "organization_id",
            unique=True,
            postgresql_where=text("state = 'reserved'"),
        ),
        CheckConstraint(
            "state in ('reserved', 'settled', 'failed', 'abandoned')", name="state_is_known"
        ),
    )

    kind: Mapped[str]
    stripe_subscription_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    state: Mapped[str]
    requested_at: Mapped[datetime]
    leased_until: Mapped[datetime]

    @property
    def wish(self) -> dict[str, Any]:
        """What was asked for, without what we remember of it."""
        return {name: value for name, value in self.details.items() if name != PUT_ASIDE}

    @property
    def idempotency_key(self) -> str:
        return f"change:{self.id}"


class ManualPlan(TenantTable):
    """A plan that an operator gave for a while, beside whatever is bought."""

    __tablename__ = "manual_plans"
    __table_args__ = (
        CheckConstraint("granted_at < ends_at", name="ends_later"),
        CheckConstraint("fee in ('invoice', 'free')", name="fee_is_known"),
        CheckConstraint("usage in ('invoice', 'free')", name="usage_is_known"),
    )

    plan: Mapped[str]
    reason: Mapped[str]
    granted_by: Mapped[UUID]
    granted_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    fee: Mapped[str]
    usage: Mapped[str]


class GivenStretch(TenantTable):
    """A time in which a given plan was what counted. Written in the unit that grants it."""

    __tablename__ = "given_stretches"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "manual_plan_id"],
            ["manual_plans.organization_id", "manual_plans.id"],
        ),
        Index(
            "uq_given_stretches_open",
            "organization_id",
            unique=True,
            postgresql_where=text("until is null"),
        ),
        CheckConstraint("since < until", name="is_forward"),
        CheckConstraint("fee in ('invoice', 'free')", name="fee_is_known"),
        CheckConstraint("usage in ('invoice', 'free')", name="usage_is_known"),
    )

    manual_plan_id: Mapped[UUID]
    plan: Mapped[str]
    catalog_version: Mapped[UUID]
    fee: Mapped[str]
    usage: Mapped[str]
    beneath: Mapped[str]
    beneath_version: Mapped[UUID | None]
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    ends_at: Mapped[datetime]

    def to_domain(self) -> Stretch:
        return Stretch(
            id=self.id,
            plan=self.plan,
            catalog_version=self.catalog_version,
            fee=GivenBilling(self.fee),
            usage=GivenBilling(self.usage),
            beneath=self.beneath,
            beneath_version=self.beneath_version,
            since=self.since,
            until=self.until,
            ends_at=self.ends_at,
        )


class CardNotice(TenantTable):
    """A card whose end was announced; once for each card and expiry."""

    __tablename__ = "card_notices"
    __table_args__ = (
        Index(
            None,
            "organization_id",
            "stripe_payment_method_id",
            "exp_year",
            "exp_month",
            unique=True,
        ),
    )

    stripe_payment_method_id: Mapped[str]
    exp_month: Mapped[int]
    exp_year: Mapped[int]
    announced_at: Mapped[datetime]
