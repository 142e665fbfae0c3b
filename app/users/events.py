"""What happened to people."""

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class EmailVerificationRequested(Fact):
    """Someone should prove that the address is theirs."""

    user_id: UUID
