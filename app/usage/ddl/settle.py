"""Functions around `usage_record` by which events settle reservations, in the same statement.

`usage_settle_lock` goes first: it takes every lock that recording and settling need, in the one
order, and says which events cannot be recorded because their reservation is over. `usage_settle`
goes last: what new events took leaves the holds, and what a final one left goes back. An event that
is known already takes nothing a second time.
"""

from __future__ import annotations

from app.usage.ddl.gate import GATE_CLASS

SETTLE_LOCK = f"""
create or replace function usage_settle_lock(
    s_organization_id uuid[],
    s_reservation_id uuid[],
    s_key_hash uuid[],
    s_final boolean[],
    s_occurred_at timestamptz[],
    s_workspace text[],
    s_user_id text[],
    s_api_key_id uuid[],
    s_debate_id text[],
    s_provider text[],
    s_model text[],
    k_organization_id uuid[],
    k_metric text[],
    k_window_start timestamptz[],
    out is_clear boolean,
    out refusals text[],
    out known boolean[]
) language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
declare
    v_total int := cardinality(s_key_hash);
    v_organizations uuid[];
    v_limits uuid[];
    v_starts timestamptz[];
    v_keys uuid[] := '{{}}';
    v_over uuid[] := '{{}}';
    v_state text;
begin
    is_clear := true;
    refusals := array_fill(null::text, array[v_total]);
    known := array_fill(false, array[v_total]);
    perform pg_advisory_xact_lock_shared({GATE_CLASS}, g.gate)
    from (select distinct usage_gate(o) as gate from unnest(s_organization_id) as o order by 1) as g;

    if exists (
        select from spend_limits l
        where l.organization_id = any (s_organization_id) and l.is_active
    ) then
        select array_agg(w.o), array_agg(w.l), array_agg(w.st)
        into v_organizations, v_limits, v_starts
        from (
            select distinct t.o, l.id as l, usage_period_start(l.period, t.at) as st
            from unnest(
                s_organization_id, s_occurred_at, s_workspace, s_user_id, s_api_key_id,
                s_debate_id, s_provider, s_model
            ) as t (o, at, workspace, user_id, api_key_id, debate_id, provider, model)
            cross join lateral (
                values ('organization', ''), ('workspace', t.workspace), ('user', t.user_id),
                    ('api_key', t.api_key_id::text), ('debate', t.debate_id), ('model', t.model),
                    ('model', t.provider || '/' || t.model)
            ) as k (scope, subject)
            join spend_limits l on l.organization_id = t.o and l.subject = k.subject
                and l.scope = any (case k.scope
                    when 'organization' then array['organization', 'credit'] else array[k.scope]
                end)
            where l.is_active and t.at >= l.counts_from
                and (l.counts_in is null or t.at <@ l.counts_in)
        ) as w;
    end if;
    perform usage_hold_lock(
        s_organization_id, s_reservation_id, k_organization_id, k_metric, k_window_start,
        v_organizations, v_limits, v_starts
    );

    for i in 1 .. v_total loop
        known[i] := s_key_hash[i] = any (v_keys) or exists (
            select from usage_keys u
            where u.organization_id = s_organization_id[i] and u.key_hash = s_key_hash[i]
        );
        continue when known[i];
        select v.state into v_state from reservations v
        where v.organization_id = s_organization_id[i] and v.id = s_reservation_id[i];
        if v_state = 'released' or v_state is null then
            refusals[i] := 'released';
        elsif v_state = 'committed' or s_reservation_id[i] = any (v_over) then
            refusals[i] := 'committed';
        else
            v_keys := v_keys || s_key_hash[i];
            if s_final[i] and v_state = 'held' then
                v_over := v_over || s_reservation_id[i];
            end if;
        end if;
        is_clear := is_clear and refusals[i] is null;
    end loop;
end
$body$
"""

SETTLE = """
create or replace function usage_settle(
    p_now timestamptz,
    p_state text,
    p_repeated int[],
    p_stored_hashes uuid[],
    p_known boolean[],
    s_organization_id uuid[],
    s_reservation_id uuid[],
    s_final boolean[],
    s_payload_hash uuid[],
    s_taken jsonb[],
    k_organization_id uuid[],
    k_metric text[],
    k_window_start timestamptz[],
    out settled reservations[],
    out held_after numeric[]
) language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
declare
    v_held numeric;
    v_count int;
    f_organization uuid[] := '{}';
    f_metric text[] := '{}';
    f_start timestamptz[] := '{}';
    f_amount numeric[] := '{}';
    g_organization uuid[] := '{}';
    g_limit uuid[] := '{}';
    g_start timestamptz[] := '{}';
    g_amount numeric[] := '{}';
    v_row reservations;
    v_above reservations;
    v_at int;
    v_is_new boolean;
    v_closes boolean;
    v_taken numeric;
    v_own numeric;
    v_over numeric;
    v_part numeric;
    v_place int;
begin
    if p_state <> 'written' then
        return;
    end if;
    settled := '{}';
    held_after := '{}';
    for i in 1 .. cardinality(s_reservation_id) loop
        select * into v_row from reservations v
        where v.organization_id = s_organization_id[i] and v.id = s_reservation_id[i];
        v_at := array_position(p_repeated, i);
        v_is_new := v_at is null and not p_known[i];
        -- Other content under a known id is a conflict, and settles nothing.
        v_closes := s_final[i] and v_row.state = 'held'
            and (v_at is null or p_stored_hashes[v_at] = s_payload_hash[i]);
        if not v_is_new and not v_closes then
            settled := settled || v_row;
            continue;
        end if;
        if v_is_new then
            v_row.events := v_row.events + 1;
            for j in 1 .. cardinality(v_row.names) loop
                -- Of a metric that counts different values, an event takes one at most.
                v_taken := case jsonb_typeof(s_taken[i] -> v_row.names[j])
                    when 'object' then 1
                    when 'string' then (s_taken[i] ->> v_row.names[j])::numeric
                    else 0
                end;
                v_own := least(v_row.remaining[j], v_taken);
                v_over := v_taken - v_own;
                v_row.committed[j] := v_row.committed[j] + v_taken;
                v_row.overshoot[j] := v_row.overshoot[j] + v_over;
                v_row.remaining[j] := v_row.remaining[j] - v_own;
                if v_closes and v_row.path = '{}' then
                    -- A root's remainder leaves the same rows, at once.
                    v_own := v_own + v_row.remaining[j];
                    v_row.returned[j] := v_row.returned[j] + v_row.remaining[j];
                    v_row.remaining[j] := 0;
                end if;
                -- Many events of a flush leave the same rows; each row is written once, below.
                if v_own > 0 and v_row.names[j] = '$' then
                    v_count := cardinality(v_row.limit_ids);
                    g_organization := g_organization
                        || array_fill(v_row.organization_id, array[v_count]);
                    g_limit := g_limit || v_row.limit_ids;
                    g_start := g_start || v_row.period_starts;
                    g_amount := g_amount || array_fill(v_own, array[v_count]);
                elsif v_own > 0 then
                    f_organization := f_organization || v_row.organization_id;
                    f_metric := f_metric || v_row.names[j];
                    f_start := f_start || v_row.window_start;
                    f_amount := f_amount || v_own;
                end if;
                -- What a child uses beyond its share comes out of what its envelope has left.
                for k in reverse cardinality(v_row.path) .. 1 loop
                    exit when v_over = 0;
                    select * into v_above from reservations v
                    where v.organization_id = v_row.organization_id and v.id = v_row.path[k];
                    v_place := array_position(v_above.names, v_row.names[j]);
                    exit when v_place is null
                        or (v_row.names[j] <> '$' and v_above.window_start <> v_row.window_start);
                    v_part := least(v_over, v_above.remaining[v_place]);
                    continue when v_part = 0;
                    update reservations v set remaining[v_place] = v.remaining[v_place] - v_part
                    where v.organization_id = v_above.organization_id and v.id = v_above.id;
                    perform usage_hold_free(v_above, v_place, v_part, 0);
                    v_over := v_over - v_part;
                end loop;
            end loop;
        end if;
        if v_closes then
            if v_row.path <> '{}' or not v_is_new then
                perform usage_hold_return(v_row, v_row.remaining);
            end if;
            for j in 1 .. cardinality(v_row.names) loop
                v_row.returned[j] := v_row.returned[j] + v_row.remaining[j];
                v_row.remaining[j] := 0;
            end loop;
            v_row.state := 'committed';
            v_row.settled_at := p_now;
        end if;
        update reservations v set
            state = v_row.state,
            settled_at = v_row.settled_at,
            events = v_row.events,
            remaining = v_row.remaining,
            returned = v_row.returned,
            committed = v_row.committed,
            overshoot = v_row.overshoot
        where v.organization_id = v_row.organization_id and v.id = v_row.id;
        settled := settled || v_row;
    end loop;
    update usage_counters c set held = c.held - f.amount
    from (
        select t.o, t.m, t.st, sum(t.a) as amount
        from unnest(f_organization, f_metric, f_start, f_amount) as t (o, m, st, a)
        group by 1, 2, 3
    ) as f
    where c.organization_id = f.o and c.metric = f.m and c.window_start = f.st;
    update spend s set held = s.held - g.amount
    from (
        select t.o, t.l, t.st, sum(t.a) as amount
        from unnest(g_organization, g_limit, g_start, g_amount) as t (o, l, st, a)
        group by 1, 2, 3
    ) as g
    where s.organization_id = g.o and s.limit_id = g.l and s.period_start = g.st;
    for i in 1 .. cardinality(k_metric) loop
        select c.held into v_held from usage_counters c
        where c.organization_id = k_organization_id[i] and c.metric = k_metric[i]
            and c.window_start = k_window_start[i];
        held_after := held_after || v_held;
    end loop;
end
$body$
"""
