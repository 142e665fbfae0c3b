"""The function that writes a lone event.

`usage_record` costs as much for one event as for thirty: columns to take apart, sums to make,
plans made for many rows. `usage_record_one` does the same for one event, from plain values, and
leaves to the other whatever is not plain: it returns without having counted anything where the
organization has limits on spending (`limited`), or where a hard limit refuses the event (`full`).

It takes the same locks in the same order (gate, counters, key, hours, days, months).
"""

from __future__ import annotations

from app.usage.ddl.gate import GATE_CLASS

ONE_ARGUMENTS: tuple[tuple[str, str], ...] = (
    ("p_now", "timestamptz"),
    ("p_price_version", "bigint"),
    ("p_organization_id", "uuid"),
    ("p_stamp", "bigint"),
    ("p_event_type", "text"),
    ("p_provider", "text"),
    ("p_model", "text"),
    ("p_hour", "timestamptz"),
    ("p_month", "text"),
    ("p_window_start", "timestamptz"),
    ("p_price_source", "text"),
    ("p_price_reference", "text"),
    ("p_price_ids", "text"),
    ("p_id", "uuid"),
    ("p_key_hash", "uuid"),
    ("p_payload_hash", "uuid"),
    ("p_occurred_at", "timestamptz"),
    ("p_event_key", "text"),
    ("p_quantity", "text"),
    ("p_tokens_in", "bigint"),
    ("p_tokens_out", "bigint"),
    ("p_cached_tokens", "bigint"),
    ("p_cache_write_tokens", "bigint"),
    ("p_reasoning_tokens", "bigint"),
    ("p_cost_usd", "text"),
    ("p_counted", "text"),
    ("p_rounds", "bigint"),
    ("p_latency_ms", "text"),
    ("p_metadata", "text"),
    ("p_raw_usage", "text"),
    ("p_agent", "text"),
    ("p_api_key_id", "uuid"),
    ("p_debate_id", "text"),
    ("p_request_type", "text"),
    ("p_user_id", "text"),
    ("p_workspace", "text"),
    ("k_metric", "text[]"),
    ("k_amount", "text[]"),
    ("k_most", "text[]"),
)
"""The whole signature. Counters are sorted by metric; `k_most` is the limit to hold one to.

`used` and `held` come back as one text, a number for each counter: arrays inside of a composite
value are more than the driver reads.
"""

ONE_RESULTS = ("state", "stored_id", "stored_hash", "used", "held")

_HOURS = "events quantity tokens_in tokens_out cached_tokens cost_usd unpriced"


def _adding(table: str, columns: str) -> str:
    return ",\n            ".join(
        f"{name} = {table}.{name} + excluded.{name}" for name in columns.split()
    )


_FIGURES = """1, v_quantity, p_tokens_in, p_tokens_out, p_cached_tokens, coalesce(v_cost, 0),
            v_unpriced"""
_COUNTER = """c.organization_id = p_organization_id and c.metric = k_metric[i]
            and c.window_start = p_window_start"""

_COUNT = f"""update usage_counters c set used = c.used + v_amount
        where {_COUNTER}
            and (v_most is null or c.used + c.held + v_amount <= v_most)
        returning c.used, c.held into v_used, v_held"""

RECORD_ONE = f"""
create or replace function usage_record_one(
    {", ".join(f"{name} {kind}" for name, kind in ONE_ARGUMENTS)},
    out state text,
    out stored_id uuid,
    out stored_hash uuid,
    out used text,
    out held text
) language plpgsql as $body$
declare
    v_quantity numeric := p_quantity::numeric;
    v_cost numeric := p_cost_usd::numeric;
    v_unpriced int := case when v_cost is null then 1 else 0 end;
    v_is_limited boolean;
    v_amount numeric;
    v_most numeric;
    v_used numeric;
    v_held numeric;
    v_moved int := 0;
begin
    perform pg_advisory_xact_lock_shared({GATE_CLASS}, usage_gate(p_organization_id));
    select
        case when o.xmin::text::bigint = p_stamp
            and (select version from price_book_state) = p_price_version
        then 'written' end,
        exists (
            select from spend_limits l
            where l.organization_id = p_organization_id and l.is_active
        )
    into state, v_is_limited
    from organizations o where o.id = p_organization_id;
    if state is null then
        state := 'stale';
        return;
    end if;
    if v_is_limited then
        state := 'limited';
        return;
    end if;

    for i in 1 .. cardinality(k_metric) loop
        v_amount := k_amount[i];
        v_most := k_most[i];
        {_COUNT};
        if not found then
            insert into usage_counters
                (organization_id, metric, window_start, used, held, announced_percent)
            values (p_organization_id, k_metric[i], p_window_start, 0, 0, 0)
            on conflict do nothing;
            {_COUNT};
            if not found then
                state := 'full';
                exit;
            end if;
        end if;
        v_moved := i;
        used := concat_ws(' ', used, v_used);
        held := concat_ws(' ', held, v_held);
    end loop;

    if state = 'written' then
        insert into usage_keys (organization_id, key_hash, event_id, payload_hash)
        values (p_organization_id, p_key_hash, p_id, p_payload_hash)
        on conflict do nothing;
        if not found then
            state := 'repeated';
            select u.event_id, u.payload_hash into stored_id, stored_hash
            from usage_keys u
            where u.organization_id = p_organization_id and u.key_hash = p_key_hash;
        end if;
    end if;
    if state <> 'written' then
        -- The rows are locked, so nobody has seen what is taken back here.
        used := null;
        for i in 1 .. v_moved loop
            update usage_counters c set used = c.used - k_amount[i]::numeric where {_COUNTER}
            returning c.used into v_used;
            used := concat_ws(' ', used, v_used);
        end loop;
        return;
    end if;

    insert into usage_events (
        organization_id, id, occurred_at, event_key, event_type, quantity,
        provider, model, tokens_in, tokens_out, cached_tokens,
        cache_write_tokens, reasoning_tokens, cost_usd, price_source,
        price_reference, price_ids, user_id, api_key_id, debate_id, agent, workspace,
        request_type, rounds, latency_ms, metadata, raw_usage,
        window_start, counted, created_at
    ) values (
        p_organization_id, p_id, p_occurred_at, p_event_key, p_event_type, v_quantity,
        p_provider, p_model, p_tokens_in, p_tokens_out, p_cached_tokens,
        p_cache_write_tokens, p_reasoning_tokens, v_cost, p_price_source,
        p_price_reference, p_price_ids::uuid[], p_user_id, p_api_key_id, p_debate_id, p_agent,
        p_workspace, p_request_type, p_rounds, p_latency_ms::numeric, p_metadata::jsonb,
        p_raw_usage::jsonb, p_window_start, p_counted::jsonb, p_now
    );

    insert into usage_hourly (
        organization_id, hour, event_type, provider, model, {_HOURS.replace(" ", ", ")}
    ) values (
        p_organization_id, p_hour, p_event_type, coalesce(p_provider, ''), coalesce(p_model, ''),
        {_FIGURES}
    ) on conflict (organization_id, hour, event_type, provider, model) do update set
            {_adding("usage_hourly", _HOURS)};

    if coalesce(
        p_agent, p_api_key_id::text, p_debate_id, p_request_type, p_user_id, p_workspace
    ) is not null then
        insert into usage_daily (
            organization_id, day, dimension, value, {_HOURS.replace(" ", ", ")}
        )
        select p_organization_id, (p_hour at time zone 'UTC')::date, dimension, value,
            {_FIGURES}
        from (
            values ('agent', p_agent), ('api_key', p_api_key_id::text), ('debate', p_debate_id),
                ('request_type', p_request_type), ('user', p_user_id), ('workspace', p_workspace)
        ) as label (dimension, value)
        where value is not null
        on conflict (organization_id, day, dimension, value) do update set
            {_adding("usage_daily", _HOURS)};
    end if;

    insert into usage_monthly (
        organization_id, month, debates, api_calls, total_tokens, total_cost,
        events, tokens_in, tokens_out, unpriced
    ) values (
        p_organization_id, p_month,
        case when p_event_type = 'debate' then v_quantity else 0 end,
        case when p_event_type = 'api_call' then v_quantity else 0 end,
        p_tokens_in + p_tokens_out, coalesce(v_cost, 0), 1, p_tokens_in, p_tokens_out, v_unpriced
    ) on conflict (organization_id, month) do update set
            {_adding("usage_monthly", "debates api_calls total_tokens total_cost events tokens_in tokens_out unpriced")};
end
$body$
"""
