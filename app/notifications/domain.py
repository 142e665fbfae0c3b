"""Kinds of notices, who is told, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.kernel.ids import OrganizationId

LEASE = timedelta(minutes=2)
"""How long one worker has to send; more than any timeout of the other side's."""

RETRIES = (
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=16),
)
"""How long to wait after each failed attempt; after the last one, a day and a half later, no more."""


class NoticeKind(StrEnum):
    """What is told; each has a template of its name and a rule in `kinds.py`."""

    EMAIL_VERIFICATION = "email_verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a mail
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    INVITE = "invite"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_ACTION_REQUIRED = "payment_action_required"
    PAYMENT_RECOVERED = "payment_recovered"
    GRACE_ENDING = "grace_ending"
    GRACE_ENDED = "grace_ended"
    TRIAL_ENDING = "trial_ending"
    PAYMENT_METHOD_EXPIRING = "payment_method_expiring"
    INVOICE_READY = "invoice_ready"
    RECEIPT = "receipt"
    REFUND_MADE = "refund_made"
    REFUND_FAILED = "refund_failed"
    REFUND_NOT_SENT = "refund_not_sent"
    PAID_TOO_MUCH = "paid_too_much"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_CLOSED = "dispute_closed"
    QUOTA_THRESHOLD = "quota_threshold"
    BUDGET_THRESHOLD = "budget_threshold"
    MODEL_UNPRICED = "model_unpriced"
    DUPLICATE_SUBSCRIPTION = "duplicate_subscription"
    PRICE_UNKNOWN = "price_unknown"
    CREDIT_EXPIRING = "credit_expiring"
    CREDIT_TOPPED_UP = "credit_topped_up"
    CREDIT_NOT_TAKEN_BACK = "credit_not_taken_back"
    AUTO_TOP_UP_FAILED = "auto_top_up_failed"
    ENDPOINT_DISABLED = "endpoint_disabled"


class Audience(StrEnum):
    """Who is told."""

    PERSON = "person"
    """The one person whom the fact names by `user_id`."""
    GUEST = "guest"
    """An address that belongs to nobody yet."""
    KEEPERS = "keepers"
    """Whoever looks after an organization's billing: owners, admins and billing."""
    OPERATORS = "operators"
    """The people who run the platform."""


class Channel(StrEnum):
    """Which way a notice goes."""

    MAIL = "mail"
    CHAT = "chat"


class NoticeState(StrEnum):
    """`pending` until it is `sent`; `refused` by the other side for good, or `exhausted` after the
    last attempt: both are dead until somebody sends them again. `obsolete` when it was due and no
    longer so."""

    PENDING = "pending"
    SENT = "sent"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    OBSOLETE = "obsolete"

    @property
    def is_final(self) -> bool:
        return self is not NoticeState.PENDING

    @property
    def is_dead(self) -> bool:
        return self in {NoticeState.REFUSED, NoticeState.EXHAUSTED}


class HookEvent(StrEnum):
    """What an endpoint may be told; its name is the `type` of the message."""

    PAYMENT_FAILED = "payment.failed"
    PAYMENT_ACTION_REQUIRED = "payment.action_required"
    PAYMENT_RECOVERED = "payment.recovered"
    GRACE_ENDING = "grace.ending"
    GRACE_ENDED = "grace.ended"
    TRIAL_ENDING = "trial.ending"
    PAYMENT_METHOD_EXPIRING = "payment_method.expiring"
    INVOICE_ISSUED = "invoice.issued"
    INVOICE_PAID = "invoice.paid"
    REFUND_MADE = "refund.made"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CLOSED = "dispute.closed"
    CREDIT_EXPIRING = "credit.expiring"
    CREDIT_TOPPED_UP = "credit.topped_up"
    AUTO_TOP_UP_FAILED = "auto_top_up.failed"
    QUOTA_THRESHOLD_REACHED = "quota.threshold_reached"
    BUDGET_THRESHOLD_REACHED = "budget.threshold_reached"
    PING = "endpoint.ping"


Facts = Mapping[str, Any]
"""The fields of an announced fact, as a job carries them: JSON."""


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody is to be told, when it is due."""

    notice_id: UUID
    kind: NoticeKind
    cause: str
    facts: Facts
    organization_id: OrganizationId | None
    """Whose notice it is; None for a person's and for operators'."""
    person_id: UUID | None
    attempt: int
    channel: Channel = Channel.MAIL


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice as it is listed. Without an organization it is a person's, or the operators'."""

    id: UUID
    organization_id: OrganizationId | None
    kind: NoticeKind
    channel: Channel
    state: NoticeState
    subject: str | None
    recipient: str | None
    attempts: int
    last_error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Muted:
    """Kinds of notices that are not mailed."""

    to_me: frozenset[NoticeKind]
    to_nobody: frozenset[NoticeKind]
    """Turned off for the whole organization."""


@dataclass(frozen=True, slots=True)
class Letter:
    """Who is told, by what name, and what the template needs."""

    to: str
    name: str | None
    context: Mapping[str, object]


def subject_of(facts: Facts) -> OrganizationId | None:
    """The organization that a fact is about."""
    found = facts.get("organization_id")
    return OrganizationId(UUID(found)) if found else None
