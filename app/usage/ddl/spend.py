"""Functions by which events, reservations and corrections move what limits have seen.

`usage_spend_lock` finds the limits that each event counts towards, makes what rows are missing and
locks them in the one order (organization, limit, period): a row an event and limit, with the
place of its row of `spend` among those that were locked; `usage_spend_post` adds costs to rows
that are locked. Whoever writes usage calls the first right after the counters and the second after
the events. Organizations without limits cost one probe of an index a flush, made by the caller:
`exists (select from spend_limits where organization_id = any (…) and is_active)`.
"""

from __future__ import annotations

from app.usage.ddl.columns import EVENTS, SPENDERS, unnest

PERIOD_START = """
create or replace function usage_period_start(p_period text, p_at timestamptz)
returns timestamptz language sql stable parallel safe as
$body$
    select case p_period
        when 'total' then timestamptz '1970-01-01 00:00:00+00'
        when 'daily' then date_trunc('day', p_at, 'UTC')
        when 'weekly' then date_trunc('week', p_at, 'UTC')
        when 'monthly' then date_trunc('month', p_at, 'UTC')
        when 'quarterly' then date_trunc('quarter', p_at, 'UTC')
        when 'yearly' then date_trunc('year', p_at, 'UTC')
    end
$body$
"""

PERIOD_END = """
create or replace function usage_period_end(p_period text, p_start timestamptz)
returns timestamptz language sql stable parallel safe as
$body$
    select (p_start at time zone 'UTC' + case p_period
        when 'daily' then interval '1 day'
        when 'weekly' then interval '7 days'
        when 'monthly' then interval '1 month'
        when 'quarterly' then interval '3 months'
        when 'yearly' then interval '1 year'
    end) at time zone 'UTC'
$body$
"""

# The callers plan without nested loops, because they join arrays; limits are found by their index.
SPEND_LOCK = """
create or replace function usage_spend_lock(
    p_now timestamptz,
    p_organization_id uuid[],
    p_occurred_at timestamptz[],
    p_workspace text[],
    p_user_id text[],
    p_api_key_id uuid[],
    p_debate_id text[],
    p_provider text[],
    p_model text[],
    p_caller text[],
    p_enforced int[]
) returns table (
    event int,
    organization_id uuid,
    limit_id uuid,
    period_start timestamptz,
    posted numeric,
    held numeric,
    amount_usd numeric,
    soft_usd numeric,
    hard_usd numeric,
    is_suspended boolean,
    is_lifted boolean,
    scope text,
    subject text,
    place int
) language plpgsql set enable_nestloop = on as $body$
#variable_conflict use_column
declare
    v_event int[];
    v_organization uuid[];
    v_limit uuid[];
    v_start timestamptz[];
begin
    with named as materialized (
        select t.n, t.o, t.at, k.scope, k.subject
        from unnest(
            p_organization_id, p_occurred_at, p_workspace, p_user_id, p_api_key_id, p_debate_id,
            p_provider, p_model
        ) with ordinality as t (o, at, workspace, user_id, api_key_id, debate_id, provider, model, n)
        cross join lateral (
            values ('organization', ''), ('workspace', t.workspace), ('user', t.user_id),
                ('api_key', t.api_key_id::text), ('debate', t.debate_id), ('model', t.model),
                ('model', t.provider || '/' || t.model)
        ) as k (scope, subject)
        where k.subject is not null
    ),
    limits as materialized (
        -- What meets a limit of the organization meets its credit.
        select l.organization_id, l.id, w.scope, l.subject, l.period, l.counts_from, l.counts_in
        from (
            select distinct on (o, scope, subject) o, scope, subject, case scope
                when 'organization' then array['organization', 'credit'] else array[scope]
            end as scopes
            from named
        ) as w
        join spend_limits l on l.organization_id = w.o and l.scope = any (w.scopes)
            and l.subject = w.subject
        where l.is_active
    )
    select array_agg(n.n::int), array_agg(l.organization_id), array_agg(l.id),
        array_agg(usage_period_start(l.period, n.at))
    into v_event, v_organization, v_limit, v_start
    from limits l
    join named n on n.o = l.organization_id and n.scope = l.scope and n.subject = l.subject
    where n.at >= l.counts_from and (l.counts_in is null or n.at <@ l.counts_in);
    if v_event is null then
        return;
    end if;

    insert into spend as s (organization_id, limit_id, period_start, posted, held, announced)
    select w.o, w.l, w.st, 0, 0, 0
    from (
        select distinct o, l, st from unnest(v_organization, v_limit, v_start) as t (o, l, st)
    ) as w
    where not exists (
        select from spend k
        where k.organization_id = w.o and k.limit_id = w.l and k.period_start = w.st
    )
    order by 1, 2, 3
    on conflict do nothing;

    perform
    from spend s
    join (
        select distinct o, l, st from unnest(v_organization, v_limit, v_start) as t (o, l, st)
    ) as w on s.organization_id = w.o and s.limit_id = w.l and s.period_start = w.st
    order by s.organization_id, s.limit_id, s.period_start
    for update of s;

    return query
    select m.n, s.organization_id, s.limit_id, s.period_start, s.posted, s.held, l.amount_usd,
        l.soft_usd,
        case when l.lapses_at <= p_now then l.lapsed_usd else l.hard_usd end,
        l.suspended_at is not null
            and (l.suspended_until is null or l.suspended_until > p_now),
        m.n = any (p_enforced) and exists (
            select from spend_overrides v
            where v.organization_id = s.organization_id and v.limit_id = s.limit_id
                and v.until > p_now
                and (v.user_id is null or v.user_id in (p_caller[m.n], p_user_id[m.n]))
        ),
        l.scope, l.subject,
        (dense_rank() over (order by s.organization_id, s.limit_id, s.period_start))::int
    from unnest(v_event, v_organization, v_limit, v_start) as m (n, o, l, st)
    join spend s on s.organization_id = m.o and s.limit_id = m.l and s.period_start = m.st
    join spend_limits l on l.organization_id = m.o and l.id = m.l
    order by m.n, s.limit_id;
end
$body$
"""

SPEND_POST = """
create or replace function usage_spend_post(
    p_now timestamptz,
    p_organization_id uuid[],
    p_limit_id uuid[],
    p_period_start timestamptz[],
    p_cost numeric[]
) returns table (
    organization_id uuid,
    limit_id uuid,
    period_start timestamptz
) language plpgsql set enable_nestloop = on as $body$
#variable_conflict use_column
begin
    return query
    with change as (
        select o, l, st, sum(c) as cost
        from unnest(p_organization_id, p_limit_id, p_period_start, p_cost) as t (o, l, st, c)
        group by o, l, st
    ),
    moved as (
        update spend s
        set posted = s.posted + c.cost,
            reached_at = case
                when s.posted + c.cost > 0 and s.posted + c.cost >= l.amount_usd
                    then coalesce(s.reached_at, p_now)
                else s.reached_at
            end
        from change c
        join spend_limits l on l.organization_id = c.o and l.id = c.l
        join spend b on b.organization_id = c.o and b.limit_id = c.l and b.period_start = c.st
        where s.organization_id = c.o and s.limit_id = c.l and s.period_start = c.st
        returning s.organization_id, s.limit_id, s.period_start,
            s.reached_at is not null and b.reached_at is null as is_reached,
            s.posted + s.held as spent, s.announced, l.amount_usd, l.thresholds, l.auto_suspend,
            usage_period_end(l.period, s.period_start) as period_end
    ),
    suspended as (
        update spend_limits l
        set suspended_at = p_now, suspended_until = m.period_end
        from moved m
        where m.is_reached and m.auto_suspend and coalesce(m.period_end > p_now, true)
            and l.organization_id = m.organization_id and l.id = m.limit_id
            and (l.suspended_at is null or l.suspended_until <= p_now)
    )
    select m.organization_id, m.limit_id, m.period_start
    from moved m
    where m.spent > 0 and exists (
        select from unnest(m.thresholds) as f
        where f > m.announced and m.spent >= f * m.amount_usd
    );
end
$body$
"""

_MICROSECONDS = "timestamptz '1970-01-01 00:00:00+00' + {} * interval '1 microsecond'"

FLUSH_DECLARES = """
    s_event int[];
    s_organization uuid[];
    s_limit uuid[];
    s_start timestamptz[];
    s_place int[];
    s_soft numeric[];
    s_hard numeric[];
    s_held numeric[];
    s_amount numeric[];
    s_suspended boolean[];
    s_lifted boolean[];
    s_scope text[];
    s_subject text[];
    v_limited boolean;
    v_spent numeric[];
    v_cost numeric;
    v_next int := 1;
    v_first int;
    v_reason text;
    v_after numeric;"""
"""What `usage_record` keeps of the limits that its events meet: arrays by match, `v_spent` by place."""

FLUSH_LIMITED = """
    v_limited := exists (
        select from spend_limits
        where organization_id = any (organizations_here) and is_active
    );"""

FLUSH_LOCKS = f"""
        with flush as (
            select
                array_agg(c_organization[t.class] order by t.n) as organizations,
                array_agg({_MICROSECONDS.format("t.occurred_at")} order by t.n) as at,
                array_agg(t.workspace order by t.n) as workspaces,
                array_agg(t.user_id order by t.n) as users,
                array_agg(t.api_key_id order by t.n) as keys,
                array_agg(t.debate_id order by t.n) as debates,
                array_agg(c_of[t.class] order by t.n) as providers,
                array_agg(c_named[t.class] order by t.n) as models,
                array_agg(b.caller order by t.n) as callers,
                coalesce(array_agg(b.event) filter (where b.event is not null), '{{}}') as enforced
            from {unnest("e", EVENTS)}
            left join {unnest("b", SPENDERS).replace(" as t (", " as b (")} on b.event = t.n
        ),
        locked as materialized (
            select k.*,
                -- Credit says no last.
                k.place + case when k.scope = 'credit' then 1000000 else 0 end as rank
            from flush f
            cross join lateral usage_spend_lock(
                p_now, f.organizations, f.at, f.workspaces, f.users, f.keys, f.debates,
                f.providers, f.models, f.callers, f.enforced
            ) as k
        )
        select
            array_agg(l.event order by l.event, l.rank),
            array_agg(l.organization_id order by l.event, l.rank),
            array_agg(l.limit_id order by l.event, l.rank),
            array_agg(l.period_start order by l.event, l.rank),
            array_agg(l.place order by l.event, l.rank),
            array_agg(l.soft_usd order by l.event, l.rank),
            array_agg(l.hard_usd order by l.event, l.rank),
            array_agg(l.held order by l.event, l.rank),
            array_agg(l.amount_usd order by l.event, l.rank),
            array_agg(l.is_suspended order by l.event, l.rank),
            array_agg(l.is_lifted order by l.event, l.rank),
            array_agg(l.scope order by l.event, l.rank),
            array_agg(l.subject order by l.event, l.rank),
            (
                select array_agg(p.spent order by p.place)
                from (select distinct k.place, k.posted + k.held as spent from locked k) as p
            )
        into s_event, s_organization, s_limit, s_start, s_place, s_soft, s_hard, s_held, s_amount,
            s_suspended, s_lifted, s_scope, s_subject, v_spent
        from locked as l;"""
"""Right after the counters: every row of spending that the flush meets, locked in order."""

FLUSH_ASKS = """
                v_first := v_next;
                while coalesce(s_event[v_next] <= r.event, false) loop
                    if s_event[v_next] < r.event then
                        v_first := v_next + 1;
                    end if;
                    v_next := v_next + 1;
                end loop;
                v_cost := all_cost_usd[r.event];
                if v_fits then
                    for i in v_first .. v_next - 1 loop
                        continue when s_lifted[i];
                        -- What has no price is refused only where nothing is left.
                        v_after := v_spent[s_place[i]] + coalesce(v_cost, 1e-18);
                        v_reason := case
                            when s_suspended[i] then 'suspended'
                            when v_after > s_hard[i] then 'hard_limit'
                            when not r.may_exceed and v_after > s_soft[i] then 'soft_limit'
                        end;
                        if v_reason is not null then
                            v_fits := false;
                            over_limits := coalesce(over_limits, '[]') || jsonb_build_object(
                                'event', r.event,
                                'limit_id', s_limit[i],
                                'scope', s_scope[i],
                                'subject', s_subject[i],
                                'reason', v_reason,
                                'limit', case v_reason
                                    when 'hard_limit' then s_hard[i]
                                    when 'soft_limit' then s_soft[i]
                                    else s_amount[i]
                                end::text,
                                'spent', (v_spent[s_place[i]] - s_held[i])::text,
                                'held', s_held[i]::text
                            );
                            exit;
                        end if;
                    end loop;
                end if;
                if v_fits then
                    for i in v_first .. v_next - 1 loop
                        v_spent[s_place[i]] := v_spent[s_place[i]] + coalesce(v_cost, 0);
                    end loop;
                end if;"""
"""For the enforced event `r`, after its quotas: whether limits let it pass, and what it takes."""

FLUSH_POSTS = """
    if s_event is not null then
        select jsonb_agg(jsonb_build_array(p.organization_id, p.limit_id, p.period_start)) into news
        from (
            select array_agg(m.o) as o, array_agg(m.l) as l, array_agg(m.st) as st,
                array_agg(c.cost) as cost
            from unnest(s_event, s_organization, s_limit, s_start) as m (e, o, l, st)
            join unnest(all_cost_usd) with ordinality as c (cost, n) on c.n = m.e
            where c.cost <> 0 and not (m.e = any (v_skip))
        ) as a
        cross join lateral usage_spend_post(p_now, a.o, a.l, a.st, a.cost) as p
        where a.o is not null;
    end if;"""
"""After the events: what they cost, to every row of spending that they meet."""
