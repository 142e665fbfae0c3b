"""Metrics that are no sums: the largest value, the latest one, how many different ones.

`usage_record` calls these only for flushes that carry such metrics. Their counters are among its
own, so they are locked before this runs, and nobody else moves a window's values meanwhile.
"""

from __future__ import annotations

from app.usage.ddl.columns import COUNTERS, OTHERS, unnest

_ARGUMENTS = [
    "p_separator",
    *(f"k_{name}" for name, _ in COUNTERS),
    *(f"o_{name}" for name, _ in OTHERS),
]
_SIGNATURE = ", ".join(f"{name} text" for name in _ARGUMENTS)
_COUNTERS = unnest("k", COUNTERS).replace(" as t (", " as k (")
_OTHERS = unnest("o", OTHERS).replace(" as t (", " as o (")
_WINDOW = "timestamptz '1970-01-01 00:00:00+00' + k.window_start * interval '1 microsecond' as window_start"


def call(name: str, *more: str) -> str:
    """SQL that calls one of these from inside `usage_record`."""
    return f"{name}({', '.join([*_ARGUMENTS, *more])})"


# A value above the limit does not fit, whatever there is already; of different values, one that
# the window has seen always fits.
MEASURES_FIT = f"""
create or replace function usage_measures_fit(
    {_SIGNATURE}, p_event int, p_used numeric[], p_held numeric[], p_granted text[],
    out fits boolean, out granted text[]
) language plpgsql as $body$
declare
    r record;
    v_pending int;
begin
    fits := true;
    granted := p_granted;
    for r in
        select o.counter, o.kind, o.value, o.most, k.organization_id, k.metric, {_WINDOW}
        from {_OTHERS}
        join {_COUNTERS} on k.n = o.counter
        where o.event = p_event and o.most is not null
        order by o.n
    loop
        if r.kind <> 'unique' then
            fits := fits and r.value::numeric <= r.most;
        elsif r.counter || ':' || r.value = any (granted) or exists (
            select from usage_values v
            where v.organization_id = r.organization_id and v.metric = r.metric
                and v.window_start = r.window_start and v.value_hash = r.value::uuid
                and v.events > 0
        ) then
            null;
        else
            select count(*) into v_pending
            from unnest(granted) as g where split_part(g, ':', 1) = r.counter::text;
            fits := fits
                and p_used[r.counter] + p_held[r.counter] + v_pending + 1 <= r.most;
            granted := granted || (r.counter || ':' || r.value);
        end if;
    end loop;
    if not fits then
        granted := p_granted;
    end if;
end
$body$
"""

# Of two values of the same instant the larger one is the latest, so that order does not matter.
MEASURES_COUNT = f"""
create or replace function usage_measures_count(
    {_SIGNATURE}, p_occurred_at bigint[], p_skip int[], inout used numeric[]
) language plpgsql as $body$
declare
    r record;
begin
    for r in
        with counted as materialized (
            select o.counter, o.kind, o.value, k.organization_id, k.metric, {_WINDOW},
                timestamptz '1970-01-01 00:00:00+00'
                    + p_occurred_at[o.event] * interval '1 microsecond' as occurred_at
            from {_OTHERS}
            join {_COUNTERS} on k.n = o.counter
            where not (o.event = any (p_skip))
        ),
        seen as (
            select counter, organization_id, metric, window_start, value::uuid as value_hash,
                count(*) as events
            from counted where kind = 'unique' group by 1, 2, 3, 4, 5
        ),
        kept as (
            insert into usage_values as v
                (organization_id, metric, window_start, value_hash, events)
            select organization_id, metric, window_start, value_hash, events
            from seen order by counter, value_hash
            on conflict (organization_id, metric, window_start, value_hash)
            do update set events = v.events + excluded.events
            returning v.organization_id, v.metric, v.window_start, v.value_hash, v.events
        ),
        moved as (
            select counter, organization_id, metric, window_start,
                count(*) filter (where kept.events = seen.events)::numeric as more,
                null::numeric as largest, null::timestamptz as at, null::numeric as latest
            from seen
            join kept using (organization_id, metric, window_start, value_hash)
            group by 1, 2, 3, 4
            union all
            select counter, organization_id, metric, window_start,
                0, max(value::numeric), null, null
            from counted where kind = 'max' group by 1, 2, 3, 4
            union all
            (
                select distinct on (counter) counter, organization_id, metric, window_start,
                    0, null, occurred_at, value::numeric
                from counted where kind = 'latest'
                order by counter, occurred_at desc, value::numeric desc
            )
        )
        update usage_counters c set
            used = case
                when m.at is null then greatest(c.used + m.more, m.largest)
                when c.latest_at is null or (m.at, m.latest) > (c.latest_at, c.used) then m.latest
                else c.used
            end,
            latest_at = greatest(c.latest_at, m.at)
        from moved m
        where c.organization_id = m.organization_id and c.metric = m.metric
            and c.window_start = m.window_start
        returning m.counter, c.used
    loop
        used[r.counter] := r.used;
    end loop;
end
$body$
"""
