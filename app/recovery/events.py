"""What happens while a payment is missing, for whoever tells people."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class GraceEnding(Fact):
    """The days of grace run out soon, at *grace_until*; once per time of grace."""

    organization_id: UUID
    subscription_id: UUID
    grace_until: datetime


@dataclass(frozen=True, slots=True)
class GraceEnded(Fact):
    """The days of grace ran out at *ended_at*, and what was granted with them."""

    organization_id: UUID
    subscription_id: UUID
    ended_at: datetime
