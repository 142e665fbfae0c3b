"""What must always hold of notices, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all.
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

INVARIANTS: dict[str, str] = {
    "a notice that waits has its next attempt": f"""
        select organization_id, id from {_BOTH} as notice
        where state = 'pending' and next_attempt_at is null
    """,
    "a notice that is settled waits for nothing": f"""
        select organization_id, id from {_BOTH} as notice
        where state <> 'pending'
            and (settled_at is null or next_attempt_at is not null or leased_until is not null)
    """,
    "a notice that was sent names whom": f"""
        select organization_id, id from {_BOTH} as notice
        where state = 'sent' and coalesce(recipient, '') = ''
    """,
    "no later message of an endpoint went before an earlier one": f"""
        select earlier.organization_id, earlier.endpoint_id, earlier.id, later.id
        from webhook_deliveries earlier
        join webhook_deliveries later on later.organization_id = earlier.organization_id
            and later.endpoint_id = earlier.endpoint_id and later.sequence > earlier.sequence
        where earlier.state = 'pending' and later.state = 'sent' and {_ONLY.format("earlier")}
    """,
    "an endpoint that is off says since when and why": f"""
        select organization_id, id from webhook_endpoints e
        where is_enabled = (disabled_at is not null) and {_ONLY.format("e")}
    """,
}
