"""What must always hold of Stripe's events, as SQL that returns a row where it does not.

Each takes `:now`; events belong to nobody until they are handled.
"""

from __future__ import annotations

INVARIANTS: dict[str, tuple[str, str]] = {
    "webhooks.nothing_is_dead": (
        "No event of Stripe's has been given up.",
        "select event_id, type, attempts, last_error from stripe_events where state = 'dead'",
    ),
    "webhooks.nothing_waits_for_long": (
        "Every event of Stripe's is handled within fifteen minutes.",
        """
        select event_id, type, attempts, last_error, received_at from stripe_events
        where state = 'pending'
            and received_at < cast(:now as timestamptz) - interval '15 minutes'""",
    ),
}
