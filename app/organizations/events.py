"""What happened to organizations."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class MemberRemoved(Fact):
    """Someone left an organization, or was made to; their keys to it must go."""

    organization_id: UUID
    user_id: UUID
    removed_at: datetime


@dataclass(frozen=True, slots=True)
class MemberInvited(Fact):
    """Someone is asked to join and waits for the mail that says so."""

    organization_id: UUID
    invite_id: UUID


@dataclass(frozen=True, slots=True)
class CreditUseChanged(Fact):
    """From *at* on, calls to models are paid from prepaid credit, or no longer are."""

    organization_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class QuotaWindowChanged(Fact):
    """What happens from *since* on counts in another window than what was counted so far."""

    organization_id: UUID
    since: datetime
