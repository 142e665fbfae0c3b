"""What happened to organizations."""

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class MemberInvited(Fact):
    """Someone is asked to join and waits for the mail that says so."""

    organization_id: UUID
    invite_id: UUID
