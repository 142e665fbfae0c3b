"""Functions that end or draw on what reservations hold.

`usage_hold_lock` takes every lock that the rest needs, in the one order; the others move figures
on rows that are locked. What a reservation drew from its parent goes back to the nearest one above
that is still held, the rest to counters and limits. A parent's limits are the first of its
child's, so what lies above is a prefix, and what goes back is the remainder.

Plans are made once a connection, perhaps while a table is still empty; so whatever is called once
a flush says that rows are found by their index. What it calls inherits that.
"""

from __future__ import annotations

from app.usage.ddl.gate import GATE_CLASS

HOLD_LOCK = """
create or replace function usage_hold_lock(
    p_organization_id uuid[],
    p_id uuid[],
    k_organization_id uuid[],
    k_metric text[],
    k_window_start timestamptz[],
    l_organization_id uuid[],
    l_limit_id uuid[],
    l_period_start timestamptz[]
) returns void language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
declare
    r record;
begin
    -- What a reservation holds on never changes, so it can be read before it is locked.
    for r in
        select w.o, w.m, w.st
        from (
            select k.o, k.m, k.st
            from unnest(k_organization_id, k_metric, k_window_start) as k (o, m, st)
            union
            select v.organization_id, h.name, v.window_start
            from unnest(p_organization_id, p_id) as t (o, id)
            join reservations v on v.organization_id = t.o and v.id = t.id
            cross join lateral unnest(v.names) as h (name)
            where h.name <> '$'
        ) as w
        order by w.o, w.m collate "C", w.st
    loop
        perform from usage_counters c
        where c.organization_id = r.o and c.metric = r.m and c.window_start = r.st
        for update;
        if not found then
            insert into usage_counters
                (organization_id, metric, window_start, used, held, announced_percent)
            values (r.o, r.m, r.st, 0, 0, 0)
            on conflict do nothing;
            perform from usage_counters c
            where c.organization_id = r.o and c.metric = r.m and c.window_start = r.st
            for update;
        end if;
    end loop;

    insert into spend as s (organization_id, limit_id, period_start, posted, held, announced)
    select l.o, l.id, l.st, 0, 0, 0
    from unnest(l_organization_id, l_limit_id, l_period_start) as l (o, id, st)
    where not exists (
        select from spend k
        where k.organization_id = l.o and k.limit_id = l.id and k.period_start = l.st
    )
    order by 1, 2, 3
    on conflict do nothing;

    perform
    from spend s
    join (
        select l.o, l.id, l.st
        from unnest(l_organization_id, l_limit_id, l_period_start) as l (o, id, st)
        union
        select v.organization_id, h.id, h.st
        from unnest(p_organization_id, p_id) as t (o, id)
        join reservations v on v.organization_id = t.o and v.id = t.id
        cross join lateral unnest(v.limit_ids, v.period_starts) as h (id, st)
    ) as w on s.organization_id = w.o and s.limit_id = w.id and s.period_start = w.st
    order by s.organization_id, s.limit_id, s.period_start
    for update of s;

    perform
    from reservations v
    join (
        select t.o, t.id from unnest(p_organization_id, p_id) as t (o, id)
        union
        select c.organization_id, a.id
        from unnest(p_organization_id, p_id) as t (o, id)
        join reservations c on c.organization_id = t.o and c.id = t.id
        cross join lateral unnest(c.path) as a (id)
    ) as w on v.organization_id = w.o and v.id = w.id
    order by v.organization_id, v.id
    for update of v;
end
$body$
"""

HOLD_RETURN = """
create or replace function usage_hold_return(p_row reservations, p_amounts numeric[])
returns void language plpgsql as $body$
declare
    v_above reservations;
    v_name text;
    v_place int;
    v_covered int;
begin
    for j in 1 .. cardinality(p_row.names) loop
        continue when p_amounts[j] = 0;
        v_name := p_row.names[j];
        v_covered := null;
        for i in reverse cardinality(p_row.path) .. 1 loop
            select * into v_above from reservations v
            where v.organization_id = p_row.organization_id and v.id = p_row.path[i];
            v_place := array_position(v_above.names, v_name);
            exit when v_place is null
                or (v_name <> '$' and v_above.window_start <> p_row.window_start);
            if v_above.state = 'held' then
                update reservations v set remaining[v_place] = v.remaining[v_place] + p_amounts[j]
                where v.organization_id = p_row.organization_id and v.id = v_above.id;
                v_covered := cardinality(v_above.limit_ids);
                exit;
            end if;
        end loop;
        if v_name = '$' then
            perform usage_hold_free(p_row, j, p_amounts[j], coalesce(v_covered, 0));
        elsif v_covered is null then
            perform usage_hold_free(p_row, j, p_amounts[j], 0);
        end if;
    end loop;
end
$body$
"""

HOLD_FREE = """
create or replace function usage_hold_free(
    p_row reservations, p_place int, p_amount numeric, p_covered int
) returns void language plpgsql as $body$
begin
    if p_row.names[p_place] <> '$' then
        update usage_counters c set held = c.held - p_amount
        where c.organization_id = p_row.organization_id and c.metric = p_row.names[p_place]
            and c.window_start = p_row.window_start;
        return;
    end if;
    for i in p_covered + 1 .. cardinality(p_row.limit_ids) loop
        update spend s set held = s.held - p_amount
        where s.organization_id = p_row.organization_id and s.limit_id = p_row.limit_ids[i]
            and s.period_start = p_row.period_starts[i];
    end loop;
end
$body$
"""

GIVE_BACK = f"""
create or replace function usage_give_back(
    p_now timestamptz,
    p_state text,
    p_organization_id uuid[],
    p_id uuid[]
) returns reservations[] language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
declare
    v_row reservations;
    v_rows reservations[] := '{{}}';
begin
    perform pg_advisory_xact_lock_shared({GATE_CLASS}, g.gate)
    from (select distinct usage_gate(o) as gate from unnest(p_organization_id) as o order by 1) as g;
    perform usage_hold_lock(p_organization_id, p_id, null, null, null, null, null, null);
    for i in 1 .. cardinality(p_id) loop
        select * into v_row from reservations v
        where v.organization_id = p_organization_id[i] and v.id = p_id[i];
        if v_row.state = 'held' and (p_state = 'released' or v_row.expires_at <= p_now) then
            perform usage_hold_return(v_row, v_row.remaining);
            update reservations v set
                state = p_state,
                settled_at = p_now,
                returned = v.remaining,
                remaining = array_fill(0::numeric, array[cardinality(v.names)])
            where v.organization_id = v_row.organization_id and v.id = v_row.id
            returning * into v_row;
        end if;
        v_rows := v_rows || v_row;
    end loop;
    return v_rows;
end
$body$
"""

EXPIRE = """
create or replace function usage_expire(
    p_now timestamptz,
    p_organizations uuid[],
    p_at_most int
) returns int language plpgsql
    set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off
    set enable_seqscan = off as $body$
declare
    v_organizations uuid[];
    v_ids uuid[];
    v_rows reservations[];
begin
    select array_agg(o.organization_id), array_agg(o.id) into v_organizations, v_ids
    from (
        select v.organization_id, v.id
        from reservations v
        where v.state = 'held' and v.expires_at <= p_now
            and (p_organizations is null or v.organization_id = any (p_organizations))
        order by v.expires_at
        limit p_at_most
    ) as o;
    if v_ids is null then
        return 0;
    end if;
    v_rows := usage_give_back(p_now, 'expired', v_organizations, v_ids);
    return cardinality(v_ids);
end
$body$
"""
