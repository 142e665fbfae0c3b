"""What must always hold of recovery, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or c.organization_id = :organization_id)"
_LATE = "cast(:now as timestamptz) - interval '30 minutes'"

NO_GRACE_OUTLIVES_ITS_END = f"""
    select c.organization_id, c.id, c.grace_until
    from recovery_cases c
    where c.closed_at is null and c.lapsed_at is null and c.grace_until < {_LATE} and {_ONLY}
"""

A_CASE_BELONGS_TO_WHAT_IS_OWED = f"""
    select c.organization_id, c.id, s.status
    from recovery_cases c
    join subscriptions s on s.organization_id = c.organization_id and s.id = c.subscription_id
    where c.closed_at is null and s.first_failed_at is null and s.synced_at < {_LATE} and {_ONLY}
"""

INVARIANTS: dict[str, tuple[str, str]] = {
    "recovery.no_grace_outlives_its_end": (
        "A case is lapsed or closed within half an hour of the end of its grace.",
        NO_GRACE_OUTLIVES_ITS_END,
    ),
    "recovery.a_case_belongs_to_what_is_owed": (
        "A case is open only while its subscription owes something.",
        A_CASE_BELONGS_TO_WHAT_IS_OWED,
    ),
}
