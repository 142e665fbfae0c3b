"""Every check, by feature. A feature keeps its own; those of the platform's plumbing are here."""

from __future__ import annotations

from collections.abc import Mapping

from app.budgets.invariants import INVARIANTS as BUDGETS
from app.credits.invariants import INVARIANTS as CREDITS
from app.discounts.invariants import INVARIANTS as DISCOUNTS
from app.doctor.domain import Check
from app.invoices.invariants import INVARIANTS as INVOICES
from app.metered.invariants import INVARIANTS as METERED
from app.notifications.invariants import INVARIANTS as NOTIFICATIONS
from app.organizations.invariants import INVARIANTS as ORGANIZATIONS
from app.payments.invariants import INVARIANTS as PAYMENTS
from app.recovery.invariants import INVARIANTS as RECOVERY
from app.subscriptions.invariants import INVARIANTS as SUBSCRIPTIONS
from app.usage.invariants import INVARIANTS as USAGE
from app.webhooks.invariants import INVARIANTS as WEBHOOKS

JOBS: dict[str, tuple[str, str]] = {
    "jobs.none_failed": (
        "No background job has been given up; Stripe's events are asked for again by a sweep.",
        """select id, entrypoint, attempts, updated from pgqueuer
        where status = 'failed' and entrypoint <> 'webhooks.handle_stripe_event'""",
    ),
    "jobs.none_is_overdue": (
        "No background job waits longer than fifteen minutes after it fell due.",
        """select id, entrypoint, execute_after from pgqueuer
        where status = 'queued' and execute_after < now() - interval '15 minutes'""",
    ),
}

_FEATURES: tuple[Mapping[str, tuple[str, str]], ...] = (
    USAGE,
    BUDGETS,
    SUBSCRIPTIONS,
    RECOVERY,
    ORGANIZATIONS,
    PAYMENTS,
    METERED,
    CREDITS,
    DISCOUNTS,
    INVOICES,
    WEBHOOKS,
    NOTIFICATIONS,
    JOBS,
)

CHECKS: tuple[Check, ...] = tuple(
    Check(name, sentence, sql) for feature in _FEATURES for name, (sentence, sql) in feature.items()
)
