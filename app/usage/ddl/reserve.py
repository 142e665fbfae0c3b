"""The function that grants reservations.

One call of `usage_reserve` is one statement and one transaction for all who wait: it locks every
quota counter, every limit on spending and every parent that one of them needs, grants in order
whatever fits whole, and writes what was granted. A request that does not fit takes nothing, so it
stands in nobody's way; the next one is measured against what is really left.

What is held has a name: a metric, or `$` for cost. Locks are taken in the one order (gates,
counters, spend, reservations), each kind sorted; the insert comes last.
"""

from __future__ import annotations

from app.usage.ddl.gate import GATE_CLASS

MAX_DEPTH = 8

RESERVE = f"""
create or replace function usage_reserve(
    p_organizations uuid[],
    p_stamps bigint[],
    p_price_version bigint,
    p_now timestamptz,
    r_organization_id uuid[],
    r_id uuid[],
    r_key uuid[],
    r_hash uuid[],
    r_parent_id uuid[],
    r_metric text[],
    r_cost text[],
    r_window_start timestamptz[],
    r_expires_at timestamptz[],
    r_workspace text[],
    r_user_id text[],
    r_api_key_id uuid[],
    r_debate_id text[],
    r_agent text[],
    r_provider text[],
    r_model text[],
    r_caller text[],
    r_exceeds boolean[],
    k_organization_id uuid[],
    k_metric text[],
    k_window_start timestamptz[],
    k_limit text[],
    n_request int[],
    n_counter int[],
    n_amount text[],
    out state text,
    out outcome text[],
    out stored reservations[],
    out refused jsonb[],
    out overdue uuid[]
) language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
#variable_conflict use_column
declare
    v_total int := cardinality(r_id);
    v_parents reservations[] := '{{}}';
    v_parent_ids uuid[] := '{{}}';
    v_is_drawn boolean[] := '{{}}';
    v_new reservations[] := '{{}}';
    v_row reservations;
    v_base reservations;
    v_at int;
    v_place int;
    v_from int;
    v_is_covered boolean;
    v_left numeric[];
    v_used numeric[] := array_fill(0::numeric, array[cardinality(k_metric)]);
    v_held numeric[] := v_used;
    v_added numeric[] := v_used;
    v_u numeric;
    v_h numeric;
    v_cost numeric;
    v_amount numeric;
    v_reason text;
    v_bound numeric;
    v_why jsonb;
    v_short jsonb;
    v_counters int[];
    v_limits int[];
    v_count int;
    s_organization uuid[] := '{{}}';
    s_limit uuid[] := '{{}}';
    s_start timestamptz[] := '{{}}';
    s_posted numeric[] := '{{}}';
    s_held numeric[] := '{{}}';
    s_added numeric[] := '{{}}';
    m_request int[] := '{{}}';
    m_place int[] := '{{}}';
    m_scope text[] := '{{}}';
    m_subject text[] := '{{}}';
    m_amount numeric[] := '{{}}';
    m_soft numeric[] := '{{}}';
    m_hard numeric[] := '{{}}';
    m_suspended boolean[] := '{{}}';
    m_lifted boolean[] := '{{}}';
    m_next int := 1;
    n_next int := 1;
    r record;
    i int;
    j int;
begin
    state := 'stale';
    outcome := array_fill(null::text, array[v_total]);
    stored := array_fill(null::reservations, array[v_total]);
    refused := array_fill(null::jsonb, array[v_total]);
    overdue := '{{}}';
    perform pg_advisory_xact_lock_shared({GATE_CLASS}, g.gate)
    from (select distinct usage_gate(o) as gate from unnest(p_organizations) as o order by 1) as g;
    if (
        select array_agg(o.xmin::text::bigint order by o.id)
        from organizations o where o.id = any (p_organizations)
    ) is distinct from p_stamps
    or (select b.version from price_book_state b) is distinct from p_price_version then
        return;
    end if;
    state := 'written';

    -- A child says what its parent says, unless it says otherwise.
    for r in
        select t.n::int as n, p.*
        from unnest(r_organization_id, r_parent_id) with ordinality as t (o, parent, n)
        join reservations p on p.organization_id = t.o and p.id = t.parent
    loop
        r_workspace[r.n] := coalesce(r_workspace[r.n], r.workspace);
        r_user_id[r.n] := coalesce(r_user_id[r.n], r.user_id);
        r_api_key_id[r.n] := coalesce(r_api_key_id[r.n], r.api_key_id);
        r_debate_id[r.n] := coalesce(r_debate_id[r.n], r.debate_id);
        r_agent[r.n] := coalesce(r_agent[r.n], r.agent);
        r_provider[r.n] := coalesce(r_provider[r.n], r.provider);
        r_model[r.n] := coalesce(r_model[r.n], r.model);
    end loop;

    for i in 1 .. cardinality(k_metric) loop
        select c.used, c.held into v_u, v_h
        from usage_counters c
        where c.organization_id = k_organization_id[i] and c.metric = k_metric[i]
            and c.window_start = k_window_start[i]
        for update;
        if not found then
            insert into usage_counters
                (organization_id, metric, window_start, used, held, announced_percent)
            values (k_organization_id[i], k_metric[i], k_window_start[i], 0, 0, 0)
            on conflict do nothing;
            select c.used, c.held into v_u, v_h
            from usage_counters c
            where c.organization_id = k_organization_id[i] and c.metric = k_metric[i]
                and c.window_start = k_window_start[i]
            for update;
        end if;
        v_used[i] := v_u;
        v_held[i] := v_h;
    end loop;

    if exists (
        select from spend_limits l where l.organization_id = any (p_organizations) and l.is_active
    ) then
        for r in
            select k.*, l.scope, l.subject
            from usage_spend_lock(
                p_now, r_organization_id, array_fill(p_now, array[v_total]), r_workspace,
                r_user_id, r_api_key_id, r_debate_id, r_provider, r_model, r_caller,
                array(select generate_series(1, v_total))
            ) as k
            join spend_limits l on l.organization_id = k.organization_id and l.id = k.limit_id
            order by k.event, array_position(
                array[
                    'debate', 'workspace', 'user', 'api_key', 'organization', 'model', 'credit'
                ], l.scope
            ), k.limit_id
        loop
            v_place := array_position(s_limit, r.limit_id);
            if v_place is null then
                s_organization := s_organization || r.organization_id;
                s_limit := s_limit || r.limit_id;
                s_start := s_start || r.period_start;
                s_posted := s_posted || r.posted;
                s_held := s_held || r.held;
                s_added := s_added || 0::numeric;
                v_place := cardinality(s_limit);
            end if;
            m_request := m_request || r.event;
            m_place := m_place || v_place;
            m_scope := m_scope || r.scope;
            m_subject := m_subject || r.subject;
            m_amount := m_amount || r.amount_usd;
            m_soft := m_soft || r.soft_usd;
            m_hard := m_hard || r.hard_usd;
            m_suspended := m_suspended || r.is_suspended;
            m_lifted := m_lifted || r.is_lifted;
        end loop;
    end if;

    for r in
        select p as parent
        from reservations p
        join (
            select distinct t.o, t.parent
            from unnest(r_organization_id, r_parent_id) as t (o, parent)
            where t.parent is not null
        ) as w on p.organization_id = w.o and p.id = w.parent
        order by p.organization_id, p.id
        for update of p
    loop
        v_parents := v_parents || r.parent;
        v_parent_ids := v_parent_ids || (r.parent).id;
        v_is_drawn := v_is_drawn || false;
    end loop;

    -- What was granted before: sent again by its caller, or by us after a lost connection.
    for r in
        select t.n::int as n, v.granted, v.is_own or t.hash = (v.granted).request_hash as is_same
        from unnest(r_organization_id, r_id, r_key, r_hash)
            with ordinality as t (o, own, key, hash, n)
        cross join lateral (
            select a as granted, true as is_own
            from reservations a where a.organization_id = t.o and a.id = t.own
            union all
            select b, false
            from reservations b where b.organization_id = t.o and b.request_key = t.key
        ) as v
    loop
        outcome[r.n] := case when r.is_same then 'repeated' else 'reused' end;
        stored[r.n] := r.granted;
    end loop;

    for i in 1 .. v_total loop
        v_why := null;
        v_short := null;
        v_base := null;
        v_at := null;
        v_left := null;
        v_cost := r_cost[i]::numeric;
        v_row := null;
        v_row.organization_id := r_organization_id[i];
        v_row.id := r_id[i];
        v_row.state := 'held';
        v_row.path := '{{}}';
        v_row.names := '{{}}';
        v_row.granted := '{{}}';
        v_row.limit_ids := '{{}}';
        v_row.limit_scopes := '{{}}';
        v_row.period_starts := '{{}}';
        v_counters := '{{}}';
        v_limits := '{{}}';

        if r_parent_id[i] is not null and outcome[i] is null then
            v_at := array_position(v_parent_ids, r_parent_id[i]);
            if v_at is null or v_parents[v_at].organization_id <> r_organization_id[i] then
                outcome[i] := 'no_parent';
            else
                v_base := v_parents[v_at];
                v_left := v_base.remaining;
                v_row.parent_id := v_base.id;
                v_row.path := v_base.path || v_base.id;
                if v_base.state <> 'held' or v_base.expires_at <= p_now then
                    outcome[i] := 'parent_over';
                    refused[i] := jsonb_build_object('state', v_base.state);
                elsif cardinality(v_row.path) > {MAX_DEPTH} then
                    outcome[i] := 'too_deep';
                end if;
            end if;
        end if;

        -- Budgets from the inside out, after the parent that may have gone through them already.
        if v_cost is not null then
            v_row.names := array['$'];
            v_row.granted := array[v_cost];
            v_place := array_position(v_base.names, '$');
            if v_place is not null then
                v_row.limit_ids := v_base.limit_ids;
                v_row.limit_scopes := v_base.limit_scopes;
                v_row.period_starts := v_base.period_starts;
                if v_left[v_place] < v_cost then
                    v_why := jsonb_build_object(
                        'by', 'reservation', 'name', '$', 'limit', v_base.granted[v_place]::text,
                        'left', v_left[v_place]::text, 'requested', v_cost::text
                    );
                end if;
                v_left[v_place] := v_left[v_place] - v_cost;
            end if;
        end if;
        while m_request[m_next] = i loop
            v_place := m_place[m_next];
            v_from := array_position(v_row.limit_ids, s_limit[v_place]);
            v_is_covered := v_from is not null and v_row.period_starts[v_from] = s_start[v_place];
            v_u := s_posted[v_place] + s_held[v_place] + s_added[v_place] + coalesce(v_cost, 0);
            v_reason := case
                when m_lifted[m_next] then null
                when m_suspended[m_next] then 'suspended'
                when v_is_covered then null
                when v_u > m_hard[m_next] then 'hard_limit'
                when v_u > m_soft[m_next] and not r_exceeds[i] then 'soft_limit'
            end;
            if v_reason is not null and m_scope[m_next] = 'credit' then
                -- Credit comes last, so it says no only where the plan does not.
                v_short := jsonb_build_object(
                    'by', 'credit', 'limit', m_hard[m_next]::text,
                    'spent', s_posted[v_place]::text,
                    'held', (s_held[v_place] + s_added[v_place])::text,
                    'requested', coalesce(v_cost, 0)::text
                );
            elsif v_reason is not null and v_why is null then
                v_bound := case v_reason
                    when 'hard_limit' then m_hard[m_next]
                    when 'soft_limit' then m_soft[m_next]
                    else m_amount[m_next]
                end;
                v_why := jsonb_build_object(
                    'by', 'budget', 'id', s_limit[v_place], 'scope', m_scope[m_next],
                    'subject', m_subject[m_next], 'reason', v_reason, 'limit', v_bound::text,
                    'spent', s_posted[v_place]::text,
                    'held', (s_held[v_place] + s_added[v_place])::text,
                    'requested', coalesce(v_cost, 0)::text
                );
            end if;
            if v_cost is not null and not v_is_covered then
                v_limits := v_limits || v_place;
                v_row.limit_ids := v_row.limit_ids || s_limit[v_place];
                v_row.limit_scopes := v_row.limit_scopes || m_scope[m_next];
                v_row.period_starts := v_row.period_starts || s_start[v_place];
            end if;
            m_next := m_next + 1;
        end loop;
        while n_request[n_next] = i loop
            j := n_counter[n_next];
            v_amount := n_amount[n_next]::numeric;
            v_row.names := v_row.names || k_metric[j];
            v_row.granted := v_row.granted || v_amount;
            v_place := case
                when v_base.window_start = k_window_start[j]
                then array_position(v_base.names, k_metric[j])
            end;
            if v_place is not null then
                if v_left[v_place] < v_amount and v_why is null then
                    v_why := jsonb_build_object(
                        'by', 'reservation', 'name', k_metric[j],
                        'limit', v_base.granted[v_place]::text,
                        'left', v_left[v_place]::text, 'requested', v_amount::text
                    );
                end if;
                v_left[v_place] := v_left[v_place] - v_amount;
            else
                if v_used[j] + v_held[j] + v_added[j] + v_amount > k_limit[j]::numeric
                        and v_why is null then
                    v_why := jsonb_build_object(
                        'by', 'quota', 'counter', j, 'used', v_used[j]::text,
                        'held', (v_held[j] + v_added[j])::text, 'requested', v_amount::text
                    );
                end if;
                v_counters := v_counters || n_next;
            end if;
            n_next := n_next + 1;
        end loop;

        if outcome[i] is not null then
            continue;
        end if;
        v_why := coalesce(v_why, v_short);
        if v_why is not null then
            outcome[i] := 'refused';
            refused[i] := v_why;
            continue;
        end if;
        if v_at is not null then
            v_parents[v_at].remaining := v_left;
            v_is_drawn[v_at] := true;
        end if;
        foreach j in array v_limits loop
            s_added[j] := s_added[j] + v_cost;
        end loop;
        foreach j in array v_counters loop
            v_added[n_counter[j]] := v_added[n_counter[j]] + n_amount[j]::numeric;
        end loop;
        v_row.metric := r_metric[i];
        v_row.window_start := r_window_start[i];
        v_row.remaining := v_row.granted;
        v_row.returned := array_fill(0::numeric, array[cardinality(v_row.names)]);
        v_row.committed := v_row.returned;
        v_row.overshoot := v_row.returned;
        v_row.events := 0;
        v_row.workspace := r_workspace[i];
        v_row.user_id := r_user_id[i];
        v_row.api_key_id := r_api_key_id[i];
        v_row.debate_id := r_debate_id[i];
        v_row.agent := r_agent[i];
        v_row.provider := r_provider[i];
        v_row.model := r_model[i];
        v_row.request_key := r_key[i];
        v_row.request_hash := r_hash[i];
        v_row.created_at := p_now;
        v_row.expires_at := r_expires_at[i];
        v_new := v_new || v_row;
        outcome[i] := 'granted';
        stored[i] := v_row;
    end loop;

    insert into reservations
    select w.* from unnest(v_new) as w
    order by w.organization_id, w.request_key, w.id
    on conflict do nothing;
    get diagnostics v_count = row_count;
    if v_count < cardinality(v_new) then
        -- Another process granted the same key meanwhile; sent again, this one finds it.
        raise serialization_failure using message = 'a request was granted meanwhile';
    end if;
    for i in 1 .. cardinality(k_metric) loop
        if v_added[i] <> 0 then
            update usage_counters c set held = c.held + v_added[i]
            where c.organization_id = k_organization_id[i] and c.metric = k_metric[i]
                and c.window_start = k_window_start[i];
        end if;
    end loop;
    for i in 1 .. cardinality(s_limit) loop
        if s_added[i] <> 0 then
            update spend s set held = s.held + s_added[i]
            where s.organization_id = s_organization[i] and s.limit_id = s_limit[i]
                and s.period_start = s_start[i];
        end if;
    end loop;
    for i in 1 .. cardinality(v_parents) loop
        if v_is_drawn[i] then
            update reservations p set remaining = v_parents[i].remaining
            where p.organization_id = v_parents[i].organization_id and p.id = v_parents[i].id;
        end if;
    end loop;
    if 'refused' = any (outcome) then
        overdue := array(
            select distinct o.organization_id from reservations o
            where o.state = 'held' and o.expires_at <= p_now
                and o.organization_id = any (p_organizations)
        );
    end if;
end
$body$
"""
