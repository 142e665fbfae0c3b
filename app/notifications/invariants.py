"""What must always hold of notices, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or {0}.organization_id = :organization_id)"
_BOTH = f"""(
    select organization_id, id, state, recipient, next_attempt_at, leased_until, settled_at
    from notices n where {_ONLY.format("n")}
    union all
    select null, id, state, recipient, next_attempt_at, leased_until, settled_at
    from personal_notices where cast(:organization_id as uuid) is null
)"""

INVARIANTS: dict[str, tuple[str, str]] = {
    "notifications.a_notice_that_waits_has_its_next_attempt": (
        "A notice that waits says when it is tried next.",
        f"""
        select organization_id, id from {_BOTH} as notice
        where state = 'pending' and next_attempt_at is null
    """,
    ),
    "notifications.a_settled_notice_waits_for_nothing": (
        "A notice that is settled says since when, and waits for nothing.",
        f"""
        select organization_id, id from {_BOTH} as notice
        where state <> 'pending'
            and (settled_at is null or next_attempt_at is not null or leased_until is not null)
    """,
    ),
    "notifications.a_sent_notice_names_whom": (
        "A notice that was sent names to whom.",
        f"""
        select organization_id, id from {_BOTH} as notice
        where state = 'sent' and coalesce(recipient, '') = ''
    """,
    ),
    "notifications.endpoints_are_told_in_order": (
        "No later message of an endpoint went before an earlier one.",
        f"""
        select earlier.organization_id, earlier.endpoint_id, earlier.id, later.id as later_id
        from webhook_deliveries earlier
        join webhook_deliveries later on later.organization_id = earlier.organization_id
            and later.endpoint_id = earlier.endpoint_id and later.sequence > earlier.sequence
        where earlier.state = 'pending' and later.state = 'sent' and {_ONLY.format("earlier")}
    """,
    ),
    "notifications.an_endpoint_that_is_off_says_so": (
        "An endpoint that is off says since when.",
        f"""
        select organization_id, id from webhook_endpoints e
        where is_enabled = (disabled_at is not null) and {_ONLY.format("e")}
    """,
    ),
}
