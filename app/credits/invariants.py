"""What must always hold of credit, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or organization_id = :organization_id)"

INVARIANTS: dict[str, tuple[str, str]] = {
    "credits.balances_are_their_entries": (
        "A credit balance is the sum of its entries and of what its grants have left.",
        f"""
        select organization_id, currency, coalesce(e.total, 0) as entries, coalesce(g.total, 0)
            as left_in_grants
        from (select organization_id, currency, sum(amount) as total from credit_entries
            where {_ONLY} group by 1, 2) as e
        full join (select organization_id, currency, sum(remaining) as total from credit_grants
            where {_ONLY} group by 1, 2) as g using (organization_id, currency)
        where coalesce(e.total, 0) <> coalesce(g.total, 0)""",
    ),
    "credits.grants_give_what_they_have": (
        "What is left of a grant is what no entry drew; none gives more than it has.",
        f"""
        select g.organization_id, g.id, g.remaining, -coalesce(d.drawn, 0) as undrawn
        from credit_grants g
        left join (select organization_id, grant_id, sum(amount) as drawn from credit_draws
            group by 1, 2) as d on d.organization_id = g.organization_id and d.grant_id = g.id
        where g.remaining <> -coalesce(d.drawn, 0) and {_ONLY.replace("organization_id =", "g.organization_id =")}""",
    ),
    "credits.entries_name_their_grants": (
        "Every entry of the ledger adds up to what it drew on named grants.",
        f"""
        select e.organization_id, e.id, e.amount, coalesce(d.drawn, 0) as drawn
        from credit_entries e
        left join (select organization_id, entry_id, sum(amount) as drawn from credit_draws
            group by 1, 2) as d on d.organization_id = e.organization_id and d.entry_id = e.id
        where e.amount <> -coalesce(d.drawn, 0) and {_ONLY.replace("organization_id =", "e.organization_id =")}""",
    ),
    "credits.no_balance_is_negative": (
        "No credit balance is below nothing.",
        f"""
        select organization_id, currency, sum(amount) as balance from credit_entries
        where {_ONLY} group by 1, 2 having sum(amount) < 0""",
    ),
}
