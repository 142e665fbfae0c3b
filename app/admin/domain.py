"""What operators see, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.kernel.ids import OrganizationId, UserId
from app.kernel.pages import Page

T = TypeVar("T")

EARNING = ("active", "past_due")
"""Statuses whose subscriptions count as revenue; a trial does not until it is paid."""
TRIALING = "trialing"
MONTHS = {"month": 1, "year": 12}


def monthly_amount(amount: int | None, interval: str) -> int:
    """What a fee comes to in a month, in minor units, half away from zero.

    Nothing where Stripe alone knows the amount. Discounts are not in it.
    """
    if amount is None:
        return 0
    exact = Decimal(amount) / MONTHS[interval]
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """A page, and how many rows there are on all pages."""

    page: Page[T]
    total: int


@dataclass(frozen=True, slots=True)
class SoldSubscription:
    """Subscriptions that are alike in all that the statistics look at, and how many there are."""

    plan: str
    status: str
    amount: int | None
    currency: str
    interval: str
    count: int = 1

    @property
    def is_earning(self) -> bool:
        return self.status in EARNING

    @property
    def is_trial(self) -> bool:
        return self.status == TRIALING

    @property
    def monthly(self) -> int:
        """All of them together, each rounded by itself, as a list of them shows it."""
        return self.count * monthly_amount(self.amount, self.interval) if self.is_earning else 0


@dataclass(frozen=True, slots=True)
class TierFigures:
    """One tier: the organizations on it, and the subscriptions that were sold of it."""

    count: int = 0
    active: int = 0
    trialing: int = 0
    revenue: int = 0


@dataclass(frozen=True, slots=True)
class BillingStats:
    """The platform at a glance. Every total is the sum of its column in the tiers."""

    currency: str
    tiers: dict[str, TierFigures]
    revenue_by_currency: dict[str, int]

    @property
    def total_customers(self) -> int:
        return sum(tier.count for tier in self.tiers.values())

    @property
    def active_subscriptions(self) -> int:
        return sum(tier.active for tier in self.tiers.values())

    @property
    def trial_subscriptions(self) -> int:
        return sum(tier.trialing for tier in self.tiers.values())

    @property
    def monthly_revenue(self) -> int:
        return sum(tier.revenue for tier in self.tiers.values())


def summarize(
    organizations_by_tier: dict[str, int],
    sold: Sequence[SoldSubscription],
    *,
    tiers: Sequence[str],
    currency: str,
) -> BillingStats:
    """Add up. Tiers stand in the order of *tiers*, then those that are only history.

    Revenue of a tier is in *currency* only, because two currencies do not add up; the others are
    in `revenue_by_currency`.
    """
    known = dict.fromkeys([*tiers, *organizations_by_tier, *(one.plan for one in sold)])
    by_currency: dict[str, int] = {}
    for one in sold:
        if one.is_earning:
            by_currency[one.currency] = by_currency.get(one.currency, 0) + one.monthly
    return BillingStats(
        currency=currency,
        tiers={
            tier: TierFigures(
                count=organizations_by_tier.get(tier, 0),
                active=sum(one.count for one in sold if one.plan == tier and one.is_earning),
                trialing=sum(one.count for one in sold if one.plan == tier and one.is_trial),
                revenue=sum(
                    one.monthly for one in sold if one.plan == tier and one.currency == currency
                ),
            )
            for tier in known
        },
        revenue_by_currency=by_currency,
    )


@dataclass(frozen=True, slots=True)
class Customer:
    """An organization, which is what a customer is, with its oldest owner."""

    id: OrganizationId
    name: str
    slug: str
    tier: str
    stripe_customer_id: str | None
    is_suspended: bool
    created_at: datetime
    members: int
    owner_id: UserId | None
    email: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription of whichever organization."""

    id: UUID
    organization_id: OrganizationId
    stripe_subscription_id: str
    stripe_customer_id: str
    plan: str
    status: str
    amount: int | None
    currency: str
    interval: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    trial_end: datetime | None
    created_at: datetime

    @property
    def monthly(self) -> int:
        return SoldSubscription(
            self.plan, self.status, self.amount, self.currency, self.interval
        ).monthly


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that came in, or was to: a charge of Stripe's, or an invoice paid in another way."""

    id: UUID
    organization_id: OrganizationId
    stripe_charge_id: str | None
    """None for an invoice whose charge is not known, or that had none."""
    stripe_customer_id: str | None
    number: str | None
    amount: int
    amount_refunded: int
    currency: str
    status: str
    description: str | None
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """An invoice of whichever organization, without its lines."""

    id: UUID
    organization_id: OrganizationId
    organization_name: str
    origin: str
    stripe_invoice_id: str | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    created_at: datetime
    paid_at: datetime | None
    hosted_invoice_url: str | None


@dataclass(frozen=True, slots=True)
class MonthOfUse:
    """What an organization used in the current UTC calendar month."""

    debates: Decimal = Decimal(0)
    api_calls: Decimal = Decimal(0)
    total_tokens: int = 0
    total_cost_usd: Decimal = Decimal(0)
    events: int = 0


@dataclass(frozen=True, slots=True)
class UserMembership:
    """Where a person belongs, with what that organization used."""

    organization_id: OrganizationId
    name: str
    role: str
    tier: str
    usage: MonthOfUse


@dataclass(frozen=True, slots=True)
class PlatformUser:
    """A person and everything they belong to."""

    id: UserId
    email: str
    name: str
    is_operator: bool
    is_suspended: bool
    is_verified: bool
    created_at: datetime
    last_login_at: datetime | None
    organizations: tuple[UserMembership, ...]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry of either book; without an organization it is the platform's."""

    id: UUID
    organization_id: OrganizationId | None
    occurred_at: datetime
    actor: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None
