"""What must always hold of credit, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

from app.credits.domain import USE_CAUSE

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
    "credits.use_goes_as_far_as_credit": (
        "Calls that are paid from credit may cost what there is and what was settled, and no more.",
        f"""
        select a.organization_id, a.id, a.use_settled, g.balance, l.hard_usd, l.settled_usd
        from credit_accounts a
        left join spend_limits l on l.organization_id = a.organization_id and l.id = a.id
        cross join lateral (
            select coalesce(sum(remaining), 0) as balance from credit_grants
            where organization_id = a.organization_id and account_id = a.id
        ) as g
        where a.is_used and {_ONLY.replace("organization_id =", "a.organization_id =")} and (
            l.is_active is not true or l.settled_usd * 100 <> a.use_settled
            or l.amount_usd * 100 <> g.balance + a.use_settled
            or l.hard_usd is distinct from
                case when a.draws_since is not null then l.amount_usd end
        )""",
    ),
    "credits.settled_use_is_in_entries": (
        "What was settled of the use of models is what entries took for it.",
        f"""
        select a.organization_id, a.id, a.use_settled, coalesce(-sum(e.amount), 0) as taken
        from credit_accounts a
        left join credit_entries e on e.organization_id = a.organization_id
            and e.account_id = a.id and e.cause like '{USE_CAUSE}%'
        where (a.is_used or e.id is not null)
            and {_ONLY.replace("organization_id =", "a.organization_id =")}
        group by 1, 2, 3 having a.use_settled <> coalesce(-sum(e.amount), 0)""",
    ),
    "credits.plans_that_draw_are_followed": (
        "Where a plan has drawn on credit for five minutes, its use is paid from an account.",
        f"""
        select o.id as organization_id, o.draws_on_credit_since, a.draws_since
        from organizations o
        left join credit_accounts a on a.organization_id = o.id and a.currency = 'usd'
        where o.draws_on_credit_since < cast(:now as timestamptz) - interval '5 minutes'
            and a.draws_since is distinct from o.draws_on_credit_since
            and {_ONLY.replace("organization_id =", "o.id =")}""",
    ),
    "credits.paid_top_ups_are_granted": (
        "A top-up is paid exactly where the ledger has a purchased grant of its amount for it.",
        f"""
        select t.organization_id, t.id, t.state, t.amount, e.amount as granted
        from credit_top_ups t
        left join credit_entries e on e.organization_id = t.organization_id
            and e.cause = 'top_up:' || t.id::text
        where (t.state = 'paid') <> (e.id is not null and e.amount = t.amount
                and e.currency = t.currency and e.credit_type = 'purchased')
            and {_ONLY.replace("organization_id =", "t.organization_id =")}""",
    ),
    "credits.one_top_up_is_underway": (
        "At most one top-up of each kind is underway in an organization.",
        f"""
        select organization_id, kind, count(*) as underway from credit_top_ups
        where state in ('reserved', 'open') and {_ONLY} group by 1, 2 having count(*) > 1""",
    ),
    "credits.top_ups_keep_to_the_cap": (
        "What was topped up by itself in a month is within the cap that held for the last of it.",
        f"""
        select organization_id, id, monthly_cap, so_far from (
            select organization_id, id, monthly_cap, sum(amount) over (
                partition by organization_id, currency, month order by created_at, id
            ) as so_far
            from credit_top_ups
            where kind = 'automatic' and state <> 'void' and {_ONLY}
        ) as t where so_far > monthly_cap""",
    ),
    "credits.what_is_low_is_known": (
        "An account is watched exactly where its organization has it topped up, and below that.",
        f"""
        select organization_id, a.currency, a.low_below, s.threshold
        from (select * from credit_accounts where low_below is not null and {_ONLY}) as a
        full join (select * from auto_top_ups where is_on and {_ONLY}) as s
            using (organization_id)
        where a.low_below is distinct from s.threshold or a.currency <> s.currency""",
    ),
}
