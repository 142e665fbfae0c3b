"""What happened to credit."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class CreditGranted(Fact):
    """Credit was given, in minor units."""

    organization_id: UUID
    grant_id: UUID
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CreditExpiring(Fact):
    """What is left of a grant lapses within a week; once a grant."""

    organization_id: UUID
    grant_id: UUID
    amount: int
    currency: str
    expires_at: datetime
