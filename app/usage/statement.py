"""The statements of the hot paths, as they are called."""

from app.usage.ddl.columns import ARGUMENTS
from app.usage.ddl.record_one import ONE_ARGUMENTS

_PLACES = ", ".join(f"${n}" for n, _ in enumerate(ARGUMENTS, 1))

RECORD_CALL = f"select * from usage_record({_PLACES})"

RECORD_ONE_CALL = (
    f"select usage_record_one({', '.join(f'${n}' for n, _ in enumerate(ONE_ARGUMENTS, 1))})"
)
"""One composite value: as a table, it would be put into a store first."""

STANDING_CALL = """
select
    o.xmin::text::bigint as stamp,
    coalesce(m.tokens_in, 0) as tokens_in,
    coalesce(m.tokens_out, 0) as tokens_out,
    coalesce(c.metrics, '{}') as metrics,
    coalesce(c.used, '{}') as used,
    coalesce(c.held, '{}') as held
from unnest($1::uuid[], $2::timestamptz[], $3::text[])
    with ordinality as t (organization_id, window_start, month, n)
left join organizations o on o.id = t.organization_id
left join usage_monthly m on m.organization_id = t.organization_id and m.month = t.month
left join lateral (
    select
        array_agg(k.metric) as metrics,
        array_agg(k.used::text) as used,
        array_agg(k.held::text) as held
    from usage_counters k
    where k.organization_id = t.organization_id and k.window_start = t.window_start
) as c on true
order by t.n
"""


def _call(function: str, arguments: int) -> str:
    return f"select * from {function}({', '.join(f'${n}' for n in range(1, arguments + 1))})"


RESERVE_CALL = _call("usage_reserve", 29)

GIVE_BACK_CALL = "select usage_give_back($1, $2, $3, $4)"

EXPIRE_CALL = "select usage_expire($1, $2, $3)"


def _settle_call() -> str:
    first = len(ARGUMENTS)
    # An event that must be refused makes the recording stand still: no price book has this version.
    recording = [f"${n}" for n in range(1, first + 1)]
    version = next(n for n, (name, _) in enumerate(ARGUMENTS) if name == "p_price_version")
    recording[version] = f"case when b.is_clear then {recording[version]} else -1 end"
    locking = ", ".join(f"${first + n}" for n in range(1, 15))
    return f"""
        select r.*, b.is_clear, b.refusals as is_over, s.settled, s.held_after
        from usage_settle_lock({locking}) as b
        cross join lateral usage_record({", ".join(recording)}) as r
        cross join lateral usage_settle(
            ${first + 15}, r.state, r.repeated, r.stored_hashes, b.known, ${first + 1},
            ${first + 2}, ${first + 4}, ${first + 16}, ${first + 17}, ${first + 12},
            ${first + 13}, ${first + 14}
        ) as s
    """


SETTLE_CALL = _settle_call()
"""Recording and settling in one statement; see `ddl.settle`."""
