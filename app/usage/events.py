"""What happened to quotas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class QuotaThresholdReached(Fact):
    """Use of a metric reached 80 or 100 percent of its limit; once per window and percent."""

    organization_id: UUID
    metric: str
    percent: int
    window_start: datetime


@dataclass(frozen=True, slots=True)
class SpendThresholdReached(Fact):
    """What was spent or is held reached a fraction of a limit; once per period and fraction.

    Of several reached at once, one is the highest.
    """

    organization_id: UUID
    limit_id: UUID
    period_start: datetime
    fraction: Decimal
    is_highest: bool
    amount_usd: Decimal
    posted: Decimal
    held: Decimal
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class UsageVoided(Fact):
    """An event counts for nothing any more; whoever passed it on has something to take back."""

    organization_id: UUID
    event_id: UUID
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ModelUnpriced(Fact):
    """Usage of a model waits for a price; once per organization, model and day."""

    organization_id: UUID
    provider: str
    model: str
    events: int
