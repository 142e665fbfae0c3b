"""The statement of the hot read: what is granted, and every subscription, of many at once."""

from app.subscriptions.domain import MIRRORED_COLUMNS

HOLDING_CALL = f"""
select t.organization_id as asked, o.plan as granted, o.features::text as features,
    o.is_disputed,
    {", ".join(f"s.{column}" for column in MIRRORED_COLUMNS)}
from unnest($1::uuid[]) with ordinality as t (organization_id, n)
left join organizations o on o.id = t.organization_id
left join subscriptions s on s.organization_id = t.organization_id
order by t.n, s.created_at, s.id
"""
