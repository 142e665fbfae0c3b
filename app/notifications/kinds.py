"""The table of notices: for each kind who is told, what makes it one and the same, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.kernel.principal import Permission
from app.notifications.domain import Audience, Facts, HookEvent, NoticeKind

KEEPS = Permission.BILLING_WRITE
"""Whoever may change an organization's billing is told about it."""

_KEEPERS = frozenset({Audience.KEEPERS})
_OPERATORS = frozenset({Audience.OPERATORS})

WHY = {
    Audience.KEEPERS: "You get this mail because you look after the billing of {{ organization }}.",
    Audience.OPERATORS: "You get this mail because you operate this platform.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for every notice of a kind.

    *cause* names the fields of the fact that make two announcements the same thing. *why* is the
    mail's last line where the audience does not say it.
    """

    audience: frozenset[Audience]
    cause: tuple[str, ...]
    why: str | None = None
    event: HookEvent | None = None
    """What endpoints are told of the fact, whether or not anybody is mailed."""

    @property
    def is_private(self) -> bool:
        """Whether it is between us and one person, and may carry a code."""
        return bool(self.audience & {Audience.PERSON, Audience.GUEST})


def job_of(kind: NoticeKind) -> str:
    """The job that a fact wakes to have a notice of this kind written."""
    return f"notifications.{kind.value}"


def can_be_muted(kind: NoticeKind) -> bool:
    """What concerns the safety of an account, and what only operators can mend, is always told."""
    return Audience.KEEPERS in RULES[kind].audience


def cause_of(kind: NoticeKind, facts: Facts) -> str:
    """What a notice is told for, once: the kind, and those fields of the fact that identify it."""
    return ":".join([kind.value, *(str(facts[name]) for name in RULES[kind].cause)])


RULES: Mapping[NoticeKind, Rule] = {
    NoticeKind.EMAIL_VERIFICATION: Rule(
        frozenset({Audience.PERSON}),
        ("fact_id",),
        "You get this mail because an account was opened with your address."
        " If that was not you, ignore it.",
    ),
    NoticeKind.PASSWORD_RESET: Rule(
        frozenset({Audience.PERSON}),
        ("fact_id",),
        "If you did not ask for this, ignore this mail: nothing changes.",
    ),
    NoticeKind.PASSWORD_CHANGED: Rule(
        frozenset({Audience.PERSON}),
        ("fact_id",),
        "You get this mail because it concerns the safety of your account.",
    ),
    NoticeKind.INVITE: Rule(
        frozenset({Audience.GUEST}),
        ("fact_id",),
        "You get this mail because {{ inviter }} entered your address."
        " If you do not know them, ignore it.",
    ),
    NoticeKind.PAYMENT_FAILED: Rule(
        _KEEPERS, ("stripe_invoice_id", "attempt"), event=HookEvent.PAYMENT_FAILED
    ),
    NoticeKind.PAYMENT_ACTION_REQUIRED: Rule(
        _KEEPERS, ("stripe_invoice_id",), event=HookEvent.PAYMENT_ACTION_REQUIRED
    ),
    NoticeKind.PAYMENT_RECOVERED: Rule(
        _KEEPERS, ("stripe_invoice_id",), event=HookEvent.PAYMENT_RECOVERED
    ),
    NoticeKind.GRACE_ENDING: Rule(
        _KEEPERS, ("subscription_id", "grace_until"), event=HookEvent.GRACE_ENDING
    ),
    NoticeKind.GRACE_ENDED: Rule(
        _KEEPERS, ("subscription_id", "ended_at"), event=HookEvent.GRACE_ENDED
    ),
    NoticeKind.TRIAL_ENDING: Rule(
        _KEEPERS, ("subscription_id", "trial_end"), event=HookEvent.TRIAL_ENDING
    ),
    NoticeKind.PAYMENT_METHOD_EXPIRING: Rule(
        _KEEPERS,
        ("brand", "last4", "exp_month", "exp_year"),
        event=HookEvent.PAYMENT_METHOD_EXPIRING,
    ),
    NoticeKind.INVOICE_READY: Rule(_KEEPERS, ("invoice_id",), event=HookEvent.INVOICE_ISSUED),
    NoticeKind.RECEIPT: Rule(_KEEPERS, ("invoice_id",), event=HookEvent.INVOICE_PAID),
    NoticeKind.REFUND_MADE: Rule(_KEEPERS, ("refund_id",), event=HookEvent.REFUND_MADE),
    NoticeKind.REFUND_FAILED: Rule(
        _KEEPERS | _OPERATORS, ("refund_id",), event=HookEvent.REFUND_FAILED
    ),
    NoticeKind.REFUND_NOT_SENT: Rule(_OPERATORS, ("credit_note_id", "reason")),
    NoticeKind.PAID_TOO_MUCH: Rule(_OPERATORS, ("stripe_invoice_id",)),
    NoticeKind.DISPUTE_OPENED: Rule(
        # An inquiry that becomes a dispute is news: now money is at stake.
        _KEEPERS | _OPERATORS,
        ("dispute_id", "is_inquiry"),
        event=HookEvent.DISPUTE_OPENED,
    ),
    NoticeKind.DISPUTE_CLOSED: Rule(
        _KEEPERS | _OPERATORS, ("dispute_id",), event=HookEvent.DISPUTE_CLOSED
    ),
    NoticeKind.QUOTA_THRESHOLD: Rule(
        _KEEPERS, ("metric", "window_start", "percent"), event=HookEvent.QUOTA_THRESHOLD_REACHED
    ),
    NoticeKind.BUDGET_THRESHOLD: Rule(
        _KEEPERS,
        ("alert_id",),
        "You get this mail because you may change the budgets of {{ organization }}.",
        event=HookEvent.BUDGET_THRESHOLD_REACHED,
    ),
    NoticeKind.MODEL_UNPRICED: Rule(
        _OPERATORS,
        ("fact_id",),
        "You get this mail because you operate this platform,"
        " at most once a day for each model and organization.",
    ),
    NoticeKind.DUPLICATE_SUBSCRIPTION: Rule(_OPERATORS, ("stripe_subscription_id",)),
    NoticeKind.PRICE_UNKNOWN: Rule(_OPERATORS, ("stripe_subscription_id", "price_id")),
    NoticeKind.CREDIT_EXPIRING: Rule(_KEEPERS, ("grant_id",), event=HookEvent.CREDIT_EXPIRING),
    NoticeKind.CREDIT_NOT_TAKEN_BACK: Rule(_OPERATORS, ("top_up_id", "cause")),
    NoticeKind.CREDIT_TOPPED_UP: Rule(_KEEPERS, ("top_up_id",), event=HookEvent.CREDIT_TOPPED_UP),
    NoticeKind.AUTO_TOP_UP_FAILED: Rule(_KEEPERS, ("fact_id",), event=HookEvent.AUTO_TOP_UP_FAILED),
    NoticeKind.ENDPOINT_DISABLED: Rule(_KEEPERS, ("endpoint_id", "disabled_at")),
}
