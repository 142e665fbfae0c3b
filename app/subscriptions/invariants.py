"""What must always hold of subscriptions, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or s.organization_id = :organization_id)"
_LIVE = "('trialing', 'active', 'past_due', 'unpaid', 'paused')"

# Past due is left to recovery, which knows when a grace is over.
_GRANTS = "s.status in ('trialing', 'active') and not s.awaits_first_payment"
_GIVEN = """exists (
            select from manual_plans m
            where m.organization_id = s.organization_id and m.withdrawn_at is null
                and m.ends_at > cast(:now as timestamptz)
        )"""

INVARIANTS: dict[str, tuple[str, str]] = {
    "subscriptions.one_counts": (
        "Of an organization's live subscriptions all but one are flagged as duplicates.",
        f"""
        select s.organization_id, count(*) as live from subscriptions s
        where {_ONLY} and s.status in {_LIVE} and not s.is_duplicate
        group by 1 having count(*) > 1""",
    ),
    "subscriptions.what_is_paid_for_is_granted": (
        "An organization has the plan of the subscription that counts.",
        f"""
        select s.organization_id, s.plan, o.plan as granted
        from subscriptions s join organizations o on o.id = s.organization_id
        where {_ONLY} and {_GRANTS} and not s.is_duplicate and o.plan <> s.plan
            and not {_GIVEN}""",
    ),
    "subscriptions.what_is_over_is_not_granted": (
        "Nobody has the plan of a subscription that ended, rests or was never paid.",
        f"""
        select s.organization_id, s.plan, s.status
        from subscriptions s join organizations o on o.id = s.organization_id and o.plan = s.plan
        where {_ONLY} and not ({_GRANTS}) and s.status <> 'past_due' and not {_GIVEN}
            and not exists (
                select from subscriptions other
                where other.organization_id = s.organization_id and other.plan = s.plan
                    and other.status in ('trialing', 'active', 'past_due')
                    and not other.awaits_first_payment
            )""",
    ),
    "subscriptions.one_trial": (
        "A page with a trial is completed once in an organization's life.",
        f"""
        select s.organization_id, count(*) as trials from checkout_attempts s
        where {_ONLY} and s.state = 'complete' and s.trial_days > 0
        group by 1 having count(*) > 1""",
    ),
    "subscriptions.the_window_was_paid_for": (
        "The quota window of a subscription is the last period that was paid for.",
        f"""
        select s.organization_id, s.id, s.window_start, p.starts_at
        from subscriptions s
        left join lateral (
            select starts_at, ends_at from paid_periods p
            where p.organization_id = s.organization_id
                and p.stripe_subscription_id = s.stripe_subscription_id
            order by starts_at desc limit 1
        ) as p on true
        where {_ONLY} and s.window_start is not null
            and (s.window_start, s.window_end) is distinct from (p.starts_at, p.ends_at)""",
    ),
    "subscriptions.no_change_hangs": (
        "A change that was asked for is settled within an hour.",
        f"""
        select s.organization_id, s.id, s.kind, s.requested_at from subscription_changes s
        where {_ONLY} and s.state = 'reserved'
            and s.requested_at < cast(:now as timestamptz) - interval '1 hour'""",
    ),
    "subscriptions.customers_are_registered_once": (
        "An organization's customer at Stripe is the one that it registered last.",
        f"""
        select s.organization_id, s.stripe_customer_id, o.stripe_customer_id as known_as
        from customer_registrations s join organizations o on o.id = s.organization_id
        where {_ONLY} and s.is_current and s.stripe_customer_id is not null
            and o.stripe_customer_id is distinct from s.stripe_customer_id""",
    ),
}
