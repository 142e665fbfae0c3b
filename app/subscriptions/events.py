"""What happens to subscriptions, for whoever needs to react."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class SubscriptionChanged(Fact):
    """What an organization holds at Stripe is not what it was."""

    organization_id: UUID
    subscription_id: UUID
    status: str
    plan: str


@dataclass(frozen=True, slots=True)
class QuotaWindowOpened(Fact):
    """A period was paid for: usage from *starts_at* counts against a fresh quota."""

    organization_id: UUID
    subscription_id: UUID
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentFailed(Fact):
    """An attempt to collect an invoice failed; once per invoice and attempt."""

    organization_id: UUID
    subscription_id: UUID
    stripe_invoice_id: str
    attempt: int
    failed_at: datetime
    amount_due: int
    currency: str
    next_attempt_at: datetime | None
    pay_url: str | None


@dataclass(frozen=True, slots=True)
class PaymentActionRequired(Fact):
    """The bank asks the customer to confirm a payment, at *pay_url*; once per invoice."""

    organization_id: UUID
    subscription_id: UUID
    stripe_invoice_id: str
    pay_url: str | None
    amount_due: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentRecovered(Fact):
    """An invoice whose payment had failed is settled, and nothing else is owed."""

    organization_id: UUID
    subscription_id: UUID
    stripe_invoice_id: str


@dataclass(frozen=True, slots=True)
class PaymentMethodExpiring(Fact):
    """A saved card ends within a month; once per card and expiry."""

    organization_id: UUID
    brand: str
    last4: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class TrialEnding(Fact):
    """A trial ends in a few days; once per subscription and end."""

    organization_id: UUID
    subscription_id: UUID
    trial_end: datetime


@dataclass(frozen=True, slots=True)
class DuplicateSubscription(Fact):
    """An organization pays for a second subscription, which gives it nothing."""

    organization_id: UUID
    subscription_id: UUID
    stripe_subscription_id: str


@dataclass(frozen=True, slots=True)
class PriceUnknown(Fact):
    """A subscription bills a price that belongs to no plan here; nothing was changed."""

    organization_id: UUID
    stripe_subscription_id: str
    price_id: str
