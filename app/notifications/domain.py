"""Kinds of notices, what causes one, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from app.kernel.ids import OrganizationId

LEASE = timedelta(minutes=2)
"""How long one worker has to send; more than any timeout of the mail server's."""


class NoticeKind(StrEnum):
    """What is told; each has a text and an HTML template of its name."""

    EMAIL_VERIFICATION = "email_verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    INVITE = "invite"
    MODEL_UNPRICED = "model_unpriced"
    BUDGET_THRESHOLD = "budget_threshold"


class NoticeState(StrEnum):
    """`pending` until it is `sent`, `refused` for good by the mail server, or `obsolete`."""

    PENDING = "pending"
    SENT = "sent"
    REFUSED = "refused"
    OBSOLETE = "obsolete"

    @property
    def is_final(self) -> bool:
        return self is not NoticeState.PENDING


@dataclass(frozen=True, slots=True)
class Cause:
    """Why someone is told something: one announced fact. Without an organization it is personal.

    Where several people are told of it, each is a cause of their own.
    """

    kind: NoticeKind
    fact_id: UUID
    organization_id: OrganizationId | None = None
    recipient: UUID | None = None

    @property
    def key(self) -> str:
        key = f"{self.kind.value}:{self.fact_id}"
        return key if self.recipient is None else f"{key}:{self.recipient}"


@dataclass(frozen=True, slots=True)
class Letter:
    """Who is told, and what the template needs."""

    to: str
    context: Mapping[str, object]
