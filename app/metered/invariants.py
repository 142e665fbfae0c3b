"""What must always hold of metered billing, as SQL that returns a row where it does not.

Each takes `:organization_id`, null for all, and `:now`.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or p.organization_id = :organization_id)"

AN_EVENT_IS_TOLD_ONCE = f"""
    select p.organization_id, e.event_id, count(*) as portions
    from metered_portions p cross join lateral unnest(p.event_ids) as e (event_id)
    where {_ONLY}
    group by p.organization_id, e.event_id having count(*) > 1
"""

BATCHES_ARE_THE_SUMS_OF_THEIR_EVENTS = f"""
    with told as (
        select p.organization_id, p.id, b.metric, sum(b.quantity) as quantity
        from metered_portions p
        join metered_batches b on b.organization_id = p.organization_id and b.portion_id = p.id
        where {_ONLY} and p.event_ids <> '{{}}' and b.replaces is null
            and b.corrects_event_id is null
        group by p.organization_id, p.id, b.metric
    )
    select p.organization_id, p.id, p.metric, p.quantity, counted.quantity as counted
    from told p
    join metered_portions m on m.organization_id = p.organization_id and m.id = p.id
    cross join lateral (
        select sum((u.counted ->> p.metric)::numeric) as quantity
        from usage_events u
        where u.organization_id = p.organization_id and u.id = any (m.event_ids)
            and u.occurred_at >= m.hour and u.occurred_at < m.hour + interval '1 hour'
    ) as counted
    -- Metrics that count every event are not written down on each.
    where counted.quantity is not null and p.quantity <> counted.quantity
"""

NOTHING_WAITS_FOR_EVER = f"""
    select p.organization_id, p.id, p.metric, p.quantity, p.next_attempt_at
    from metered_batches p
    where {_ONLY} and p.state = 'pending'
        and p.next_attempt_at < cast(:now as timestamptz) - interval '1 day'
"""

USE_IS_BILLED_BY_ONE = f"""
    select p.organization_id, p.plan, p.since, p.until, e.since as told_since, e.until as told_until
    from given_stretches p
    join metered_enrolments e on e.organization_id = p.organization_id
        and tstzrange(e.since, e.until) && tstzrange(p.since, p.until)
    where {_ONLY}
"""

INVARIANTS: dict[str, tuple[str, str]] = {
    "metered.an_event_is_told_once": (
        "An event is in one portion of metered usage, or in none.",
        AN_EVENT_IS_TOLD_ONCE,
    ),
    "metered.batches_are_the_sums_of_their_events": (
        "What Stripe is told is what the events count.",
        BATCHES_ARE_THE_SUMS_OF_THEIR_EVENTS,
    ),
    "metered.use_is_billed_by_one": (
        "While a given plan counts, which is ours to bill, Stripe is not told of use.",
        USE_IS_BILLED_BY_ONE,
    ),
    "metered.nothing_waits_for_ever": (
        "A batch that is due is told within a day.",
        NOTHING_WAITS_FOR_EVER,
    ),
}
