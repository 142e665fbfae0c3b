"""What must always hold of organizations, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or o.id = :organization_id)"

INVARIANTS: dict[str, tuple[str, str]] = {
    "organizations.each_has_an_owner": (
        "Every organization has an owner.",
        f"""
        select o.id as organization_id from organizations o
        where {_ONLY} and not exists (
            select from memberships m where m.organization_id = o.id and m.role = 'owner'
        )""",
    ),
    "organizations.a_window_is_forward": (
        "The quota window of an organization ends after it begins, or is the calendar month.",
        f"""
        select o.id as organization_id, o.window_start, o.window_end from organizations o
        where {_ONLY} and (o.window_start is null) <> (o.window_end is null)
            or o.window_start >= o.window_end""",
    ),
}
