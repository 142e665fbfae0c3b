"""The function that writes usage.

One call of `usage_record` is one statement and one transaction: it checks that the caller's
copies of plan and prices are current, grants what hard limits allow, inserts what is new, and
moves every rollup and counter. Rivals: several statements in a transaction cost a round trip
each while locks are held; one large CTE cannot grant against rows it has just locked, and costs
several times as much to start for a flush of a few events.

The caller sends what each rollup gains if all events are new. Where some are not (repeats, or
refused), the sums are made here from the events that are left.

Everybody takes locks in one order (gates, counters, spending, keys, hours, days, months), each
kind sorted, so two flushes wait for one another and never in a circle.
"""

from __future__ import annotations

from app.usage.ddl.columns import (
    ARGUMENTS,
    COUNTERS,
    DAYS,
    ENFORCED,
    EVENTS,
    HOURS,
    MONTHS,
    SPENDERS,
    array,
    declared,
    names,
    unnest,
)
from app.usage.ddl.gate import GATE_CLASS
from app.usage.ddl.measures import call
from app.usage.ddl.spend import (
    FLUSH_ASKS,
    FLUSH_DECLARES,
    FLUSH_LIMITED,
    FLUSH_LOCKS,
    FLUSH_POSTS,
)

_EPOCH = "timestamptz '1970-01-01 00:00:00+00'"


def _at(microseconds: str) -> str:
    return f"{_EPOCH} + {microseconds} * interval '1 microsecond'"


def _adding(table: str, columns: str) -> str:
    return ",\n                ".join(
        f"{name} = {table}.{name} + excluded.{name}" for name in columns.split()
    )


_FIGURES = "events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced"
_SUMS = """
            count(*), sum(quantity), sum(tokens_in), sum(tokens_out),
            sum(coalesce(cached_tokens, 0)), coalesce(sum(cost_usd), 0),
            count(*) filter (where cost_usd is null)"""
_LEFT = f"""
        from {unnest("e", EVENTS)}
        where not (n = any (v_skip))"""

_HOURS = (
    f"""
        insert into usage_hourly (
            organization_id, hour, event_type, provider, model, {_FIGURES}
        )""",
    f"""
        on conflict (organization_id, hour, event_type, provider, model) do update set
                {_adding("usage_hourly", _FIGURES.replace(",", ""))};""",
)
_HOURS_SENT = f"""
        select
            organization_id, {_EPOCH} + hour * interval '1 hour', event_type,
            coalesce(provider, ''), coalesce(model, ''), {_FIGURES}
        from {unnest("h", HOURS)}"""
_HOURS_LEFT = f"""
        select
            c_organization[class], {_EPOCH} + c_hours[class] * interval '1 hour',
            c_type[class] collate "C", coalesce(c_of[class], '') collate "C",
            coalesce(c_named[class], '') collate "C",{_SUMS}{_LEFT}
        group by 1, 2, 3, 4, 5
        order by 1, 2, 3, 4, 5"""

_DAYS = (
    f"""
        insert into usage_daily (organization_id, day, dimension, value, {_FIGURES})""",
    f"""
        on conflict (organization_id, day, dimension, value) do update set
                {_adding("usage_daily", _FIGURES.replace(",", ""))};""",
)
_DAYS_SENT = f"""
        select organization_id, date '1970-01-01' + day, dimension, value, {_FIGURES}
        from {unnest("d", DAYS)}"""
_DAYS_LEFT = f"""
        select
            c_organization[class], date '1970-01-01' + c_hours[class] / 24,
            label.dimension collate "C", label.value collate "C",{_SUMS}
        from {unnest("e", EVENTS)}
        cross join lateral (
            values ('agent', agent), ('api_key', api_key_id::text), ('debate', debate_id),
                ('request_type', request_type), ('user', user_id), ('workspace', workspace)
        ) as label (dimension, value)
        where not (n = any (v_skip)) and label.value is not null
        group by 1, 2, 3, 4
        order by 1, 2, 3, 4"""

_MONTHS = (
    f"""
        insert into usage_monthly (organization_id, {names(MONTHS[1:])})""",
    f"""
        on conflict (organization_id, month) do update set
                {_adding("usage_monthly", names(MONTHS[2:]).replace(",", ""))};""",
)
_MONTHS_SENT = f"""
        select organization_id, {names(MONTHS[1:])}
        from {unnest("m", MONTHS)}"""
_MONTHS_LEFT = f"""
        select
            c_organization[class],
            to_char(({_EPOCH} + c_hours[class] * interval '1 hour') at time zone 'UTC', 'YYYY-MM'),
            coalesce(sum(quantity) filter (where c_type[class] = 'debate'), 0),
            coalesce(sum(quantity) filter (where c_type[class] = 'api_call'), 0),
            sum(tokens_in + tokens_out), coalesce(sum(cost_usd), 0), count(*),
            sum(tokens_in), sum(tokens_out), count(*) filter (where cost_usd is null){_LEFT}
        group by 1, 2
        order by 1, 2"""

_COUNTED = f"""
            select t.n as event, k.n as counter, (c.amount #>> '{{}}')::numeric as amount
            from {unnest("e", EVENTS)}
            cross join lateral jsonb_each(t.counted::jsonb) as c (metric, amount)
            join {unnest("k", COUNTERS).replace(" as t (", " as k (")}
                on k.organization_id = c_organization[t.class] and k.metric = c.metric
                and k.window_start = c_window[t.class]
            where jsonb_typeof(c.amount) = 'string'"""

# One key by its index, whatever is planned: the flushes' sessions do without nested loops, and a
# join would read every key there is. The limit keeps the planner from making it one.
ONE_KEY = """
                select k.event_id, k.payload_hash, k.xmin as xid
                from usage_keys k
                where k.organization_id = c_organization[t.class] and k.key_hash = t.hash
                limit 1
            """

# `on conflict` looks for each key before it adds it. Where every key is new, as nearly always,
# adding them at once saves a sixth of a large flush; a repeat costs the rows before it twice.
_KEYS_LEFT = """select c_organization[class], all_key_hash[n], all_id[n], all_payload_hash[n]
        from unnest(all_class) with ordinality as t (class, n)
        where denied = '{}' or not (n = any (denied))"""

# Bytes of organization ids and "C" order of metrics are how Python sorts counters.
RECORD = f"""
create or replace function usage_record(
    {", ".join(f"{name} {kind}" for name, kind in ARGUMENTS)},
    out state text,
    out repeated int[],
    out stored_ids uuid[],
    out stored_hashes uuid[],
    out denied int[],
    out used numeric[],
    out held numeric[],
    out over_limits jsonb,
    out news jsonb
) language plpgsql as $body$
declare
    organizations_here uuid[] := {array("p_organizations", "uuid")};
    c_organization uuid[] := {array("c_organization_id", "uuid")};
    c_type text[] := {array("c_event_type")};
    c_of text[] := {array("c_provider")};
    c_named text[] := {array("c_model")};
    c_hours int[] := {array("c_hour", "int")};
    c_window bigint[] := {array("c_window_start", "bigint")};
    c_source text[] := {array("c_price_source")};
    c_reference text[] := {array("c_price_reference")};
    c_prices text[] := {array("c_price_ids")};
    {declared("e", EVENTS)}
    v_total int := cardinality(all_id);
    v_written int;
    v_skip int[];
    v_known int[];
    v_granted text[];
    v_name text;
    v_limits numeric[];
    v_amounts numeric[];
    v_fits boolean;
    v_used numeric;
    v_held numeric;
    v_values text[] := '{{}}';
    v_more text[];{FLUSH_DECLARES}
    r record;
    i int;
begin
    state := 'stale';
    repeated := '{{}}';
    stored_ids := '{{}}';
    stored_hashes := '{{}}';
    denied := '{{}}';
    if cardinality(organizations_here) = 1 then
        perform pg_advisory_xact_lock_shared({GATE_CLASS}, usage_gate(organizations_here[1]));
    else
        perform pg_advisory_xact_lock_shared({GATE_CLASS}, gate) from (
            select distinct usage_gate(o) as gate from unnest(organizations_here) as o order by 1
        ) as gates;
    end if;
    if (
        select array_agg(xmin::text::bigint order by id)
        from organizations where id = any (organizations_here)
    ) is distinct from {array("p_stamps", "bigint")}
    or (select version from price_book_state) is distinct from p_price_version then
        return;
    end if;
    state := 'written';
{FLUSH_LIMITED}
    v_amounts := {array("k_amount", "numeric")};
    if x_event is not null or (v_limited and b_event is not null) then
        v_limits := {array("k_most", "numeric")};
        used := array_fill(0::numeric, array[coalesce(cardinality(v_amounts), 0)]);
        held := used;
        v_fits := o_most is null;
        for r in
            select * from {unnest("k", COUNTERS)} order by n
        loop
            loop
                select c.used, c.held into v_used, v_held
                from usage_counters c
                where c.organization_id = r.organization_id
                    and c.metric = r.metric
                    and c.window_start = {_at("r.window_start")}
                for update;
                exit when found;
                insert into usage_counters
                    (organization_id, metric, window_start, used, held, announced_percent)
                values (r.organization_id, r.metric, {_at("r.window_start")}, 0, 0, 0)
                on conflict do nothing;
            end loop;
            used[r.n] := v_used;
            held[r.n] := v_held;
            v_fits := v_fits and coalesce(used[r.n] + held[r.n] + r.amount <= r.most, true);
        end loop;
        if v_limited then{FLUSH_LOCKS}
        end if;
        if not v_fits or s_event is not null then
            -- Only now, with the counters locked, is it certain who has recorded a key.
            select coalesce(array_agg(t.n), '{{}}') into v_known
            from unnest(all_class, all_key_hash) with ordinality as t (class, hash, n)
            cross join lateral ({ONE_KEY}) as u;
            v_granted := '{{}}';
            for r in
                select b.event, b.may_exceed,
                    coalesce(array_agg(t.counter) filter (where t.counter is not null), '{{}}') as ks,
                    coalesce(array_agg(t.amount) filter (where t.counter is not null), '{{}}') as amounts
                from {unnest("b", SPENDERS).replace(" as t (", " as b (")}
                left join {unnest("x", ENFORCED)} on t.event = b.event
                where not (b.event = any (v_known))
                group by b.event, b.may_exceed
                order by b.event
            loop
                -- Two organizations may call different events by the same key.
                v_name := c_organization[all_class[r.event]]::text || all_key_hash[r.event];
                continue when v_name = any (v_granted);
                v_fits := true;
                v_more := v_values;
                if o_most is not null then
                    select fits, granted into v_fits, v_more
                    from {call("usage_measures_fit", "r.event", "used", "held", "v_values")};
                end if;
                for i in 1 .. cardinality(r.ks) loop
                    if used[r.ks[i]] + held[r.ks[i]] + r.amounts[i] > v_limits[r.ks[i]] then
                        v_fits := false;
                    end if;
                end loop;{FLUSH_ASKS}
                for i in 1 .. cardinality(r.ks) loop
                    if v_fits then
                        used[r.ks[i]] := used[r.ks[i]] + r.amounts[i];
                    else
                        v_amounts[r.ks[i]] := v_amounts[r.ks[i]] - r.amounts[i];
                    end if;
                end loop;
                if v_fits then
                    v_granted := v_granted || v_name;
                    v_values := v_more;
                else
                    denied := denied || r.event;
                end if;
            end loop;
            if cardinality(denied) = v_total then
                return;
            end if;
            if denied <> '{{}}' and (v_limits is null or array_position(v_limits, null) > 0) then
                -- Nor does what was refused count where nothing would have refused it.
                for r in
                    select c.counter, sum(c.amount) as amount from ({_COUNTED}) as c
                    where c.event = any (denied) and not exists (
                        select from {unnest("x", ENFORCED)}
                        where t.event = c.event and t.counter = c.counter
                    )
                    group by c.counter
                loop
                    v_amounts[r.counter] := v_amounts[r.counter] - r.amount;
                end loop;
            end if;
        end if;
    end if;

    if k_metric is not null then
        with counted as (
            insert into usage_counters
                (organization_id, metric, window_start, used, held, announced_percent)
            select organization_id, metric, {_at("window_start")}, v_amounts[n], 0, 0
            from {unnest("k", COUNTERS)}
            on conflict (organization_id, metric, window_start)
            do update set used = usage_counters.used + excluded.used
            returning usage_counters.used, usage_counters.held
        )
        select array_agg(counted.used), array_agg(counted.held) into used, held from counted;
    end if;

    if v_limited and b_event is null then{FLUSH_LOCKS}
    end if;

    begin
        insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
        {_KEYS_LEFT};
        get diagnostics v_written = row_count;
    exception when unique_violation then
        insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
        {_KEYS_LEFT}
        on conflict do nothing;
        get diagnostics v_written = row_count;
    end;

    if v_written < v_total - cardinality(denied) then
        for r in
            select t.n, u.event_id, u.payload_hash
            from unnest(all_class, all_key_hash, all_id) with ordinality as t (class, hash, id, n)
            cross join lateral ({ONE_KEY}) as u
            where (u.event_id <> t.id or u.xid <> pg_current_xact_id()::xid)
                and not (t.n = any (denied))
            order by t.n
        loop
            repeated := repeated || r.n::int;
            stored_ids := stored_ids || r.event_id;
            stored_hashes := stored_hashes || r.payload_hash;
        end loop;
        for r in
            select counter, sum(amount) as amount from ({_COUNTED}) as counted
            where event = any (repeated)
            group by counter
            order by counter
        loop
            update usage_counters c set used = c.used - r.amount
            from {unnest("k", COUNTERS)}
            where t.n = r.counter and c.organization_id = t.organization_id
                and c.metric = t.metric and c.window_start = {_at("t.window_start")};
            used[r.counter] := used[r.counter] - r.amount;
        end loop;
    end if;
    v_skip := repeated || denied;
    if cardinality(v_skip) = v_total then
        return;
    end if;

    with class as materialized (
        select
            n, c_organization[n] as organization_id, c_type[n] as event_type,
            c_of[n] as provider, c_named[n] as model, c_source[n] as price_source,
            c_reference[n] as price_reference, c_prices[n]::uuid[] as price_ids,
            {_at("c_window[n]")} as window_start
        from generate_series(1, cardinality(c_type)) as n
    )
    insert into usage_events (
        organization_id, id, occurred_at, event_key, event_type, quantity,
        provider, model, tokens_in, tokens_out, cached_tokens,
        cache_write_tokens, reasoning_tokens, cost_usd, price_source,
        price_reference, price_ids, user_id, api_key_id, debate_id, agent, workspace,
        request_type, rounds, latency_ms, metadata, raw_usage, reservation_id,
        window_start, counted, created_at
    )
    select
        c.organization_id, all_id[e.n], {_at("all_occurred_at[e.n]")}, all_event_key[e.n],
        c.event_type, all_quantity[e.n], c.provider, c.model, all_tokens_in[e.n],
        all_tokens_out[e.n], coalesce(all_cached_tokens[e.n], 0),
        coalesce(all_cache_write_tokens[e.n], 0), coalesce(all_reasoning_tokens[e.n], 0),
        all_cost_usd[e.n], c.price_source, c.price_reference, c.price_ids, all_user_id[e.n],
        all_api_key_id[e.n], all_debate_id[e.n], all_agent[e.n], all_workspace[e.n],
        all_request_type[e.n], all_rounds[e.n], all_latency_ms[e.n], all_metadata[e.n]::jsonb,
        all_raw_usage[e.n]::jsonb, all_reservation_id[e.n], c.window_start,
        all_counted[e.n]::jsonb, p_now
    from unnest(all_class) with ordinality as e (class, n)
    join class c on c.n = e.class
    where v_skip = '{{}}' or not (e.n = any (v_skip));

{FLUSH_POSTS}

    if v_skip = '{{}}' then{_HOURS[0]}{_HOURS_SENT}{_HOURS[1]}
        if d_value is not null then{_DAYS[0]}{_DAYS_SENT}{_DAYS[1]}
        end if;{_MONTHS[0]}{_MONTHS_SENT}{_MONTHS[1]}
    else{_HOURS[0]}{_HOURS_LEFT}{_HOURS[1]}
        if d_value is not null then{_DAYS[0]}{_DAYS_LEFT}{_DAYS[1]}
        end if;{_MONTHS[0]}{_MONTHS_LEFT}{_MONTHS[1]}
    end if;

    if o_event is not null then
        used := {call("usage_measures_count", "all_occurred_at", "v_skip", "used")};
    end if;
end
$body$
"""
