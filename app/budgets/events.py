"""What happened to budgets."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class BudgetThresholdReached(Fact):
    """An alert was raised that people should hear of; of several at once, the highest alone."""

    organization_id: UUID
    alert_id: UUID
