"""What happened to someone's sign-in."""

from dataclasses import dataclass
from uuid import UUID

from app.kernel.facts import Fact


@dataclass(frozen=True, slots=True)
class PasswordResetRequested(Fact):
    """Someone who has an account asked for a link to set a new password."""

    user_id: UUID


@dataclass(frozen=True, slots=True)
class PasswordChanged(Fact):
    """A password was changed or reset; its owner should hear of it."""

    user_id: UUID
