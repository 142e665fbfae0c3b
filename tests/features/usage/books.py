"""What must agree: what counters and limits hold, and what reservations say they hold."""

from sqlalchemy import text

from tests.factories.people import Owner
from tests.support.service import Service

BOOKS = """
with hold as (
    select v.*, h.name, h.remaining as left_over
    from reservations v cross join lateral unnest(v.names, v.remaining) as h (name, remaining)
    where v.organization_id = :organization_id
)
select 'quota', c.metric, c.held, coalesce(h.sum, 0)
from usage_counters c
left join (
    select name, window_start, sum(left_over) as sum from hold where name <> '$' group by 1, 2
) as h on h.name = c.metric and h.window_start = c.window_start
where c.organization_id = :organization_id and c.held <> coalesce(h.sum, 0)
union all
select 'budget', s.limit_id::text, s.held, coalesce(h.sum, 0)
from spend s
left join (
    select l.id, l.st, sum(hold.left_over) as sum
    from hold cross join lateral unnest(hold.limit_ids, hold.period_starts) as l (id, st)
    where hold.name = '$' group by 1, 2
) as h on h.id = s.limit_id and h.st = s.period_start
where s.organization_id = :organization_id and s.held <> coalesce(h.sum, 0)
"""


async def books(service: Service, owner: Owner) -> list[str]:
    """Where the figures differ; empty when they agree."""
    async with service.work.begin(owner.organization_id) as session:
        rows = await session.execute(text(BOOKS), {"organization_id": owner.organization_id})
        return [str(tuple(row)) for row in rows]
