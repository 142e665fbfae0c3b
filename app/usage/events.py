"""What happened to quotas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class QuotaThresholdReached(Fact):
    """Use of a metric reached 80 or 100 percent of its limit; once per window and percent."""

    organization_id: UUID
    metric: str
    percent: int
    window_start: datetime
