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
        where {_ONLY} and (
            (o.window_start is null) <> (o.window_end is null) or o.window_start >= o.window_end
        )""",
    ),
    # The closing run would find it at the end of the month.
    "organizations.what_is_held_can_be_rated": (
        "No plan that somebody holds includes units without saying of which model or role.",
        f"""
        select o.id as organization_id, o.plan, m.item ->> 'metric' as metric, o.catalog_version
        from organizations o
        join catalog_versions v on v.id = o.catalog_version
        cross join lateral jsonb_array_elements(v.document -> 'plans') as p (plan)
        cross join lateral jsonb_array_elements(p.plan -> 'metered') as m (item)
        cross join lateral (
            select p.plan -> 'limits' -> (m.item ->> 'metric') as bound
        ) as l
        where {_ONLY} and p.plan ->> 'key' = o.plan and m.item -> 'dimensions' ->> 0 is not null
            and (
                (m.item ->> 'included')::numeric > 0
                or l.bound ->> 'policy' = 'overage' and (l.bound ->> 'limit')::numeric > 0
            )""",
    ),
}
