"""What must always hold of budgets, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or b.organization_id = :organization_id)"

INVARIANTS: dict[str, tuple[str, str]] = {
    "budgets.each_has_its_limit": (
        "Every budget has a limit of the same amount that holds.",
        f"""
        select b.organization_id, b.id, b.amount_usd, l.amount_usd as limit_usd, l.is_active
        from budgets b
        left join spend_limits l on l.organization_id = b.organization_id and l.id = b.id
        where {_ONLY} and (l.id is null or not l.is_active or l.amount_usd <> b.amount_usd)""",
    ),
}
