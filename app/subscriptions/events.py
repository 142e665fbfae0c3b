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
