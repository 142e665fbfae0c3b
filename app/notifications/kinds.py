"""The table of notices: for each kind who is told, what makes it one and the same, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.kernel.principal import Permission
from app.notifications.domain import Audience, Facts, NoticeKind

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
    NoticeKind.PAYMENT_FAILED: Rule(_KEEPERS, ("stripe_invoice_id", "attempt")),
    NoticeKind.PAYMENT_ACTION_REQUIRED: Rule(_KEEPERS, ("stripe_invoice_id",)),
    NoticeKind.PAYMENT_RECOVERED: Rule(_KEEPERS, ("stripe_invoice_id",)),
    NoticeKind.GRACE_ENDING: Rule(_KEEPERS, ("subscription_id", "grace_until")),
    NoticeKind.GRACE_ENDED: Rule(_KEEPERS, ("subscription_id", "ended_at")),
    NoticeKind.TRIAL_ENDING: Rule(_KEEPERS, ("subscription_id", "trial_end")),
    NoticeKind.PAYMENT_METHOD_EXPIRING: Rule(_KEEPERS, ("brand", "last4", "exp_month", "exp_year")),
    NoticeKind.INVOICE_READY: Rule(_KEEPERS, ("invoice_id",)),
    NoticeKind.RECEIPT: Rule(_KEEPERS, ("invoice_id",)),
    NoticeKind.REFUND_MADE: Rule(_KEEPERS, ("refund_id",)),
    NoticeKind.REFUND_FAILED: Rule(_KEEPERS | _OPERATORS, ("refund_id",)),
    NoticeKind.DISPUTE_OPENED: Rule(_KEEPERS | _OPERATORS, ("dispute_id",)),
    NoticeKind.DISPUTE_CLOSED: Rule(_KEEPERS | _OPERATORS, ("dispute_id",)),
    NoticeKind.QUOTA_THRESHOLD: Rule(_KEEPERS, ("metric", "window_start", "percent")),
    NoticeKind.BUDGET_THRESHOLD: Rule(
        _KEEPERS,
        ("alert_id",),
        "You get this mail because you may change the budgets of {{ organization }}.",
    ),
    NoticeKind.MODEL_UNPRICED: Rule(
        _OPERATORS,
        ("fact_id",),
        "You get this mail because you operate this platform,"
        " at most once a day for each model and organization.",
    ),
    NoticeKind.DUPLICATE_SUBSCRIPTION: Rule(_OPERATORS, ("stripe_subscription_id",)),
    NoticeKind.PRICE_UNKNOWN: Rule(_OPERATORS, ("stripe_subscription_id", "price_id")),
}
