"""The function that writes usage.

One call of `usage_record` is one statement and one transaction: it checks that the caller's
copies of plan and prices are current, grants what hard limits allow, inserts what is new, and
moves every rollup and counter. Rivals: several statements in a transaction cost a round trip
each while locks are held; one large CTE cannot grant against rows it has just locked.

Everybody takes locks in one order (counters, keys, hours, days, months), each kind sorted, so two
flushes wait for one another and never in a circle.
"""

from __future__ import annotations

# Bytes of organization ids and "C" order of metrics are how Python sorts counters.
RECORD = """
create or replace function usage_record(
    p_organizations uuid[],
    p_stamps bigint[],
    p_price_version bigint,
    p_now timestamptz,
    p_organization_id uuid[],
    p_id uuid[],
    p_key_hash uuid[],
    p_payload_hash bytea[],
    p_occurred_at timestamptz[],
    p_event_key text[],
    p_event_type text[],
    p_quantity text[],
    p_provider text[],
    p_model text[],
    p_tokens_in bigint[],
    p_tokens_out bigint[],
    p_cached_tokens bigint[],
    p_cache_write_tokens bigint[],
    p_reasoning_tokens bigint[],
    p_cost_usd text[],
    p_price int[],
    p_user_id text[],
    p_debate_id text[],
    p_agent text[],
    p_workspace text[],
    p_request_type text[],
    p_rounds bigint[],
    p_latency_ms text[],
    p_metadata jsonb[],
    p_raw_usage jsonb[],
    p_window_start timestamptz[],
    p_counted jsonb[],
    p_enforced int[],
    q_source text[],
    q_reference text[],
    q_ids text[],
    k_organization_id uuid[],
    k_metric text[],
    k_window_start timestamptz[],
    k_limit numeric[],
    k_amount numeric[],
    o_event int[],
    o_metric text[],
    o_kind text[],
    o_amount text[],
    o_value uuid[],
    out state text,
    out repeated int[],
    out stored_ids uuid[],
    out stored_hashes bytea[],
    out denied int[],
    out used numeric[],
    out held numeric[]
) language plpgsql as $body$
declare
    v_total int := cardinality(p_id);
    v_amount numeric[] := k_amount;
    v_new uuid[];
    v_skip int[];
    v_granted uuid[] := '{}';
    v_known boolean;
    v_fits boolean;
    v_used numeric;
    v_held numeric;
    v_id uuid;
    v_hash bytea;
    v_fresh boolean;
    r record;
    i int;
begin
    state := 'stale';
    repeated := '{}';
    stored_ids := '{}';
    stored_hashes := '{}';
    denied := '{}';
    if (
        select array_agg(xmin::text::bigint order by id)
        from organizations where id = any (p_organizations)
    ) is distinct from p_stamps
    or (select version from price_book_state) is distinct from p_price_version then
        return;
    end if;
    state := 'written';

    if cardinality(p_enforced) > 0 then
        used := array_fill(0::numeric, array[cardinality(k_metric)]);
        held := used;
        for i in 1 .. cardinality(k_metric) loop
            select c.used, c.held into v_used, v_held
            from usage_counters c
            where c.organization_id = k_organization_id[i]
                and c.metric = k_metric[i]
                and c.window_start = k_window_start[i]
            for update;
            if not found then
                insert into usage_counters
                    (organization_id, metric, window_start, used, held, announced_percent)
                values (k_organization_id[i], k_metric[i], k_window_start[i], 0, 0, 0)
                on conflict do nothing;
                select c.used, c.held into v_used, v_held
                from usage_counters c
                where c.organization_id = k_organization_id[i]
                    and c.metric = k_metric[i]
                    and c.window_start = k_window_start[i]
                for update;
            end if;
            used[i] := v_used;
            held[i] := v_held;
        end loop;
        for r in
            select t.e, array_agg(k.n) as ks, array_agg(c.amount::numeric) as amounts
            from unnest(p_organization_id, p_window_start, p_counted)
                with ordinality as t (o, w, counted, e)
            cross join lateral jsonb_each_text(t.counted) as c (metric, amount)
            join unnest(k_organization_id, k_metric, k_window_start)
                with ordinality as k (o, metric, w, n)
                on k.o = t.o and k.metric = c.metric and k.w = t.w
            where t.e = any (p_enforced)
            group by t.e
            order by t.e
        loop
            -- Only now, with the counters locked, is it certain who has recorded this key.
            select true into v_known
            from usage_keys u
            where u.organization_id = p_organization_id[r.e] and u.key_hash = p_key_hash[r.e];
            if v_known or p_key_hash[r.e] = any (v_granted) then
                continue;
            end if;
            v_fits := true;
            for i in 1 .. cardinality(r.ks) loop
                if used[r.ks[i]] + held[r.ks[i]] + r.amounts[i] > k_limit[r.ks[i]] then
                    v_fits := false;
                end if;
            end loop;
            for i in 1 .. cardinality(r.ks) loop
                if v_fits then
                    used[r.ks[i]] := used[r.ks[i]] + r.amounts[i];
                else
                    v_amount[r.ks[i]] := v_amount[r.ks[i]] - r.amounts[i];
                end if;
            end loop;
            if v_fits then
                v_granted := v_granted || p_key_hash[r.e];
            else
                denied := denied || r.e;
            end if;
        end loop;
        if cardinality(denied) = v_total then
            return;
        end if;
    end if;

    with counted as (
        insert into usage_counters
            (organization_id, metric, window_start, used, held, announced_percent)
        select o, m, w, a, 0, 0
        from unnest(k_organization_id, k_metric, k_window_start, v_amount) as t (o, m, w, a)
        on conflict (organization_id, metric, window_start)
        do update set used = usage_counters.used + excluded.used
        returning usage_counters.used, usage_counters.held
    )
    select array_agg(counted.used), array_agg(counted.held) into used, held from counted;

    with keys as (
        insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
        select o, k, e, h
        from unnest(p_organization_id, p_key_hash, p_id, p_payload_hash)
            with ordinality as t (o, k, e, h, n)
        where not (n = any (denied))
        order by o, k
        on conflict do nothing
        returning event_id
    )
    select array_agg(event_id) into v_new from keys;

    if coalesce(cardinality(v_new), 0) < v_total - cardinality(denied) then
        select coalesce(array_agg(t.n order by t.n), '{}') into repeated
        from unnest(p_id) with ordinality as t (e, n)
        left join unnest(v_new) as f (e) on f.e = t.e
        where f.e is null and not (t.n = any (denied));
        foreach i in array repeated loop
            select u.event_id, u.payload_hash into v_id, v_hash
            from usage_keys u
            where u.organization_id = p_organization_id[i] and u.key_hash = p_key_hash[i];
            stored_ids := stored_ids || v_id;
            stored_hashes := stored_hashes || v_hash;
        end loop;
        for r in
            select k.n as k, sum(c.amount::numeric) as amount
            from unnest(p_organization_id, p_window_start, p_counted)
                with ordinality as t (o, w, counted, e)
            cross join lateral jsonb_each_text(t.counted) as c (metric, amount)
            join unnest(k_organization_id, k_metric, k_window_start)
                with ordinality as k (o, metric, w, n)
                on k.o = t.o and k.metric = c.metric and k.w = t.w
            where t.e = any (repeated)
            group by k.n
        loop
            update usage_counters c set used = c.used - r.amount
            where c.organization_id = k_organization_id[r.k]
                and c.metric = k_metric[r.k]
                and c.window_start = k_window_start[r.k];
            used[r.k] := used[r.k] - r.amount;
        end loop;
    end if;
    v_skip := repeated || denied;
    if cardinality(v_skip) = v_total then
        return;
    end if;

    with input as materialized (
        select
            organization_id, id, occurred_at, event_key, event_type,
            quantity::numeric as quantity, provider, model, tokens_in, tokens_out,
            cached_tokens, cache_write_tokens, reasoning_tokens,
            cost_usd::numeric as cost_usd, price, user_id,
            debate_id, agent, workspace, request_type, rounds,
            latency_ms::numeric as latency_ms, metadata, raw_usage, window_start, counted
        from unnest(
            p_organization_id, p_id, p_occurred_at, p_event_key, p_event_type, p_quantity,
            p_provider, p_model, p_tokens_in, p_tokens_out, p_cached_tokens,
            p_cache_write_tokens, p_reasoning_tokens, p_cost_usd, p_price, p_user_id, p_debate_id, p_agent, p_workspace,
            p_request_type, p_rounds, p_latency_ms, p_metadata, p_raw_usage, p_window_start,
            p_counted
        ) with ordinality as t (
            organization_id, id, occurred_at, event_key, event_type, quantity,
            provider, model, tokens_in, tokens_out, cached_tokens,
            cache_write_tokens, reasoning_tokens, cost_usd, price, user_id, debate_id, agent,
            workspace, request_type, rounds, latency_ms, metadata, raw_usage, window_start,
            counted, n
        )
        where not (n = any (v_skip))
    ),
    stored as (
        insert into usage_events (
            organization_id, id, occurred_at, event_key, event_type, quantity,
            provider, model, tokens_in, tokens_out, cached_tokens,
            cache_write_tokens, reasoning_tokens, cost_usd, price_source,
            price_reference, price_ids, user_id, debate_id, agent, workspace,
            request_type, rounds, latency_ms, metadata, raw_usage, window_start,
            counted, created_at
        )
        select
            organization_id, id, occurred_at, event_key, event_type, quantity,
            provider, model, tokens_in, tokens_out, cached_tokens,
            cache_write_tokens, reasoning_tokens, cost_usd, q_source[price],
            q_reference[price], q_ids[price]::uuid[], user_id, debate_id, agent, workspace,
            request_type, rounds, latency_ms, metadata, raw_usage, window_start,
            counted, p_now
        from input
        order by organization_id, id
    ),
    hours as (
        insert into usage_hourly (
            organization_id, hour, event_type, provider, model,
            events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced
        )
        select
            organization_id, date_trunc('hour', occurred_at, 'UTC'), event_type,
            coalesce(provider, ''), coalesce(model, ''),
            count(*), sum(quantity), sum(tokens_in), sum(tokens_out), sum(cached_tokens),
            coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null)
        from input
        group by 1, 2, 3, 4, 5
        order by 1, 2, event_type collate "C", coalesce(provider, '') collate "C",
            coalesce(model, '') collate "C"
        on conflict (organization_id, hour, event_type, provider, model) do update set
            events = usage_hourly.events + excluded.events,
            quantity = usage_hourly.quantity + excluded.quantity,
            tokens_in = usage_hourly.tokens_in + excluded.tokens_in,
            tokens_out = usage_hourly.tokens_out + excluded.tokens_out,
            cached_tokens = usage_hourly.cached_tokens + excluded.cached_tokens,
            cost_usd = usage_hourly.cost_usd + excluded.cost_usd,
            unpriced = usage_hourly.unpriced + excluded.unpriced
    ),
    days as (
        insert into usage_daily (
            organization_id, day, dimension, value,
            events, quantity, tokens_in, tokens_out, cached_tokens, cost_usd, unpriced
        )
        select
            organization_id, (occurred_at at time zone 'UTC')::date, d.dimension, d.value,
            count(*), sum(quantity), sum(tokens_in), sum(tokens_out), sum(cached_tokens),
            coalesce(sum(cost_usd), 0), count(*) filter (where cost_usd is null)
        from input, lateral (
            values ('agent', agent), ('debate', debate_id), ('user', user_id),
                ('workspace', workspace)
        ) as d (dimension, value)
        where d.value is not null
        group by 1, 2, 3, 4
        order by 1, 2, d.dimension collate "C", d.value collate "C"
        on conflict (organization_id, day, dimension, value) do update set
            events = usage_daily.events + excluded.events,
            quantity = usage_daily.quantity + excluded.quantity,
            tokens_in = usage_daily.tokens_in + excluded.tokens_in,
            tokens_out = usage_daily.tokens_out + excluded.tokens_out,
            cached_tokens = usage_daily.cached_tokens + excluded.cached_tokens,
            cost_usd = usage_daily.cost_usd + excluded.cost_usd,
            unpriced = usage_daily.unpriced + excluded.unpriced
    )
    insert into usage_monthly (
        organization_id, month, debates, api_calls, total_tokens, total_cost,
        events, tokens_in, tokens_out, unpriced
    )
    select
        organization_id, to_char(occurred_at at time zone 'UTC', 'YYYY-MM'),
        coalesce(sum(quantity) filter (where event_type = 'debate'), 0),
        coalesce(sum(quantity) filter (where event_type = 'api_call'), 0),
        sum(tokens_in + tokens_out), coalesce(sum(cost_usd), 0),
        count(*), sum(tokens_in), sum(tokens_out), count(*) filter (where cost_usd is null)
    from input
    group by 1, 2
    order by 1, 2
    on conflict (organization_id, month) do update set
        debates = usage_monthly.debates + excluded.debates,
        api_calls = usage_monthly.api_calls + excluded.api_calls,
        total_tokens = usage_monthly.total_tokens + excluded.total_tokens,
        total_cost = usage_monthly.total_cost + excluded.total_cost,
        events = usage_monthly.events + excluded.events,
        tokens_in = usage_monthly.tokens_in + excluded.tokens_in,
        tokens_out = usage_monthly.tokens_out + excluded.tokens_out,
        unpriced = usage_monthly.unpriced + excluded.unpriced;

    if cardinality(o_event) > 0 then
        for r in
            select
                p_organization_id[t.e] as o, t.m, p_window_start[t.e] as w, t.kind, t.a::numeric as a, t.v,
                p_occurred_at[t.e] as at
            from unnest(o_event, o_metric, o_kind, o_amount, o_value) as t (e, m, kind, a, v)
            where not (t.e = any (v_skip))
            order by 1, 2, 3, t.v, 7
        loop
            v_used := r.a;
            if r.kind = 'unique' then
                insert into usage_values (organization_id, metric, window_start, value_hash, events)
                values (r.o, r.m, r.w, r.v, 1)
                on conflict (organization_id, metric, window_start, value_hash)
                do update set events = usage_values.events + 1
                returning usage_values.events = 1 into v_fresh;
                v_used := case when v_fresh then 1 else 0 end;
            end if;
            insert into usage_counters as c (
                organization_id, metric, window_start, used, held, latest_at, announced_percent
            )
            values (r.o, r.m, r.w, v_used, 0, r.at, 0)
            on conflict (organization_id, metric, window_start) do update set
                used = case
                    when r.kind = 'unique' then c.used + excluded.used
                    when r.kind = 'max' then greatest(c.used, excluded.used)
                    when excluded.latest_at >= c.latest_at then excluded.used
                    else c.used
                end,
                latest_at = greatest(c.latest_at, excluded.latest_at);
        end loop;
    end if;
end
$body$
"""
