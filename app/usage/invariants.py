"""What must always hold of usage, as SQL that returns a row for each place where it does not.

Each takes `:organization_id`, null for all; hours before `:hours_from`, null for never, may have
been folded into days and are compared as such; what happened before `:events_from`, null for
never, may have been archived and is not compared. Sums over raw rows: for tests, for operators who
suspect something, not for every minute.
"""

from __future__ import annotations

_ONLY = "(cast(:organization_id as uuid) is null or organization_id = :organization_id)"

_KEPT = "(cast(:events_from as timestamptz) is null or occurred_at >= :events_from)"
_WINDOWS = "(cast(:events_from as timestamptz) is null or window_start >= :events_from)"

_COUNTS = f"""
    select organization_id, window_start, occurred_at, c.key as metric,
        coalesce(kind, 'sum') as kind, coalesce(c.value ->> kind, c.value #>> '{{}}') as value
    from usage_events
    cross join lateral jsonb_each(counted) as c
    left join lateral (
        select jsonb_object_keys(case jsonb_typeof(c.value) when 'object' then c.value end) as kind
    ) as k on true
    where voided_at is null and {_ONLY} and {_WINDOWS}
"""
"""What each event that stands counts towards which metric of which window, and how."""


def _hour(of: str) -> str:
    return (
        f"date_trunc(case when {of} < cast(:hours_from as timestamptz) then 'day' else 'hour' end,"
        f" {of}, 'UTC')"
    )


_FIGURES = [
    "events",
    "quantity",
    "tokens_in",
    "tokens_out",
    "cached_tokens",
    "cost_usd",
    "unpriced",
]

_FIGURES_OF_EVENTS = """count(*) as events, sum(quantity) as quantity,
        sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
        sum(cached_tokens) as cached_tokens, coalesce(sum(cost_usd), 0) as cost_usd,
        count(*) filter (where cost_usd is null) as unpriced"""


def _differing(raw: str, table: str, keys: str, figures: list[str], since: str) -> str:
    """Rows of *table* whose figures are not those of *raw*, and rows that are in one of them only.

    A row of zeros is as good as none: voids leave those behind.
    """
    raws = ", ".join(f"coalesce(raw.{name}, 0)" for name in figures)
    kept = ", ".join(f"coalesce(kept.{name}, 0)" for name in figures)
    return f"""
    with raw as ({raw}),
    kept as (select {keys}, {", ".join(figures)} from {table} where {_ONLY}
        and (cast(:events_from as timestamptz) is null or {since}))
    select {keys}, array[{raws}]::numeric[] as counted, array[{kept}]::numeric[] as kept
    from raw full join kept using ({keys})
    where ({raws}) is distinct from ({kept})
    """


INVARIANTS: dict[str, tuple[str, str]] = {
    "usage.hours_are_their_events": (
        "Hours, and days that hours were folded into, are the sums of their events.",
        _differing(
            f"""select organization_id, {_hour("occurred_at")} as hour, event_type,
            coalesce(provider, '') as provider, coalesce(model, '') as model, {_FIGURES_OF_EVENTS}
        from usage_events where voided_at is null and {_ONLY} and {_KEPT} group by 1, 2, 3, 4, 5""",
            f"""(select organization_id, {_hour("hour")} as hour, event_type, provider, model,
            {", ".join(f"sum({name}) as {name}" for name in _FIGURES)}
        from usage_hourly group by 1, 2, 3, 4, 5) as hours""",
            "organization_id, hour, event_type, provider, model",
            _FIGURES,
            "hour >= :events_from",
        ),
    ),
    "usage.days_are_their_events": (
        "Days of each agent, debate, key, user and workspace are the sums of their events.",
        _differing(
            f"""select organization_id, (occurred_at at time zone 'UTC')::date as day,
            d.dimension, d.value, {_FIGURES_OF_EVENTS}
        from usage_events
        cross join lateral (
            values ('agent', agent), ('api_key', api_key_id::text), ('debate', debate_id),
                ('request_type', request_type), ('user', user_id), ('workspace', workspace)
        ) as d (dimension, value)
        where d.value is not null and voided_at is null and {_ONLY} and {_KEPT} group by 1, 2, 3, 4""",
            "usage_daily",
            "organization_id, day, dimension, value",
            _FIGURES,
            "day >= (cast(:events_from as timestamptz) at time zone 'UTC')::date",
        ),
    ),
    "usage.months_are_their_events": (
        "Months are the sums of their events.",
        _differing(
            f"""select organization_id, to_char(occurred_at at time zone 'UTC', 'YYYY-MM') as month,
            sum(quantity) filter (where event_type = 'debate') as debates,
            sum(quantity) filter (where event_type = 'api_call') as api_calls,
            sum(tokens_in + tokens_out) as total_tokens, sum(cost_usd) as total_cost,
            count(*) as events, sum(tokens_in) as tokens_in, sum(tokens_out) as tokens_out,
            count(*) filter (where cost_usd is null) as unpriced
        from usage_events where voided_at is null and {_ONLY} and {_KEPT} group by 1, 2""",
            "usage_monthly",
            "organization_id, month",
            [
                "debates",
                "api_calls",
                "total_tokens",
                "total_cost",
                "events",
                "tokens_in",
                "tokens_out",
                "unpriced",
            ],
            "month >= to_char(cast(:events_from as timestamptz) at time zone 'UTC', 'YYYY-MM')",
        ),
    ),
    "usage.counters_are_their_events": (
        "A quota counts what the events of its window count.",
        _differing(
            f"""select organization_id, metric, window_start,
            case min(kind)
                when 'max' then max(value::numeric)
                when 'latest' then
                    (array_agg(value::numeric order by occurred_at desc, value::numeric desc))[1]
                else sum(value::numeric)
            end as used
        from ({_COUNTS}) as counts where kind <> 'unique' group by 1, 2, 3
        union all
        select organization_id, metric, window_start, count(distinct value)
        from ({_COUNTS}) as counts where kind = 'unique' group by 1, 2, 3""",
            "usage_counters",
            "organization_id, metric, window_start",
            ["used"],
            "window_start >= :events_from",
        ),
    ),
    "usage.values_are_their_events": (
        "The different values of a window are those that its events have.",
        _differing(
            f"""select organization_id, metric, window_start, value::uuid as value_hash,
            count(*) as events
        from ({_COUNTS}) as counts where kind = 'unique' group by 1, 2, 3, 4""",
            "usage_values",
            "organization_id, metric, window_start, value_hash",
            ["events"],
            "window_start >= :events_from",
        ),
    ),
    "usage.limits_saw_their_events": (
        "A limit on spending has seen what the events of its period cost.",
        """
        select s.organization_id, s.limit_id, s.period_start, s.posted, counted.cost
        from spend s
        join spend_limits l on l.organization_id = s.organization_id and l.id = s.limit_id
        cross join lateral (
            select coalesce(sum(e.cost_usd), 0) as cost
            from usage_events e
            where e.organization_id = s.organization_id and e.voided_at is null
                and usage_period_start(l.period, e.occurred_at) = s.period_start
                and case l.scope
                    when 'organization' then true
                    when 'credit' then e.occurred_at <@ l.counts_in
                    when 'workspace' then e.workspace = l.subject
                    when 'user' then e.user_id = l.subject
                    when 'api_key' then e.api_key_id::text = l.subject
                    when 'debate' then e.debate_id = l.subject
                    when 'model' then l.subject in (e.model, e.provider || '/' || e.model)
                end
        ) as counted
        where l.is_active and s.period_start >= l.counts_from and s.posted <> counted.cost
            and (cast(:events_from as timestamptz) is null or s.period_start >= :events_from)
            and (cast(:organization_id as uuid) is null or s.organization_id = :organization_id)
    """,
    ),
    "usage.events_have_keys": (
        "Every event has its permanent key.",
        f"""
        select organization_id, id from usage_events where {_ONLY}
        except
        select organization_id, event_id from usage_keys where {_ONLY}
    """,
    ),
    "usage.keys_have_one_event": (
        "No key has two events.",
        f"""
        select organization_id, event_key, count(*) from usage_events where {_ONLY}
        group by 1, 2 having count(*) > 1
    """,
    ),
    "usage.holds_are_open_reservations": (
        "What quotas and limits hold is what open reservations hold.",
        """
        with hold as (
            select r.organization_id, r.window_start, r.limit_ids, r.period_starts, h.name, h.left_over
            from reservations r
            cross join lateral unnest(r.names, r.remaining) as h (name, left_over)
            where r.state = 'held'
                and (cast(:organization_id as uuid) is null or r.organization_id = :organization_id)
        )
        select organization_id, metric as held_on, coalesce(c.held, 0) as held,
            coalesce(h.left_over, 0) as reserved
        from (select * from usage_counters where held <> 0 and
            (cast(:organization_id as uuid) is null or organization_id = :organization_id)) as c
        full join (
            select organization_id, name as metric, window_start, sum(left_over) as left_over
            from hold where name <> '$' group by 1, 2, 3
        ) as h using (organization_id, metric, window_start)
        where coalesce(c.held, 0) <> coalesce(h.left_over, 0)
        union all
        select organization_id, limit_id::text, coalesce(s.held, 0), coalesce(h.left_over, 0)
        from (select * from spend where held <> 0 and
            (cast(:organization_id as uuid) is null or organization_id = :organization_id)) as s
        full join (
            select organization_id, l.limit_id, l.period_start, sum(left_over) as left_over
            from hold
            cross join lateral unnest(limit_ids, period_starts) as l (limit_id, period_start)
            where name = '$' group by 1, 2, 3
        ) as h using (organization_id, limit_id, period_start)
        where coalesce(s.held, 0) <> coalesce(h.left_over, 0)
    """,
    ),
    "usage.no_hold_outlives_its_end": (
        "A reservation that has run out is given back within five minutes.",
        """
        select organization_id, id, expires_at from reservations
        where state = 'held'
            and expires_at < cast(:now as timestamptz) - interval '5 minutes'
            and (cast(:organization_id as uuid) is null or organization_id = :organization_id)
    """,
    ),
}
