"""What use takes of prepaid credit, as limits on spending keep it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.ddl.gate import ALONE
from app.usage.domain import first_id_at
from app.usage.spend import CREDIT, EPOCH

_OPEN = """
insert into spend_limits (
    organization_id, id, scope, subject, period, amount_usd, thresholds, auto_suspend,
    counts_from, is_active, counts_in, settled_usd
) values (
    :organization_id, :id, :scope, '', 'total', 0, '{}', false, :epoch, true, '{}', 0
) on conflict do nothing
"""

_OPEN_SPEND = """
insert into spend (organization_id, limit_id, period_start, posted, held, announced)
values (:organization_id, :id, :epoch, 0, 0, 0) on conflict do nothing
"""

# What a stretch of time adds to what is counted, or takes away, was recorded meanwhile.
_COUNT_IN = """
with changed as (
    select l.counts_in as old, {stretches} as new
    from spend_limits l where l.organization_id = :organization_id and l.id = :id
),
counted as (
    update spend_limits l set counts_in = c.new from changed c
    where l.organization_id = :organization_id and l.id = :id
)
update spend s set posted = s.posted + (
    select coalesce(
        sum(e.cost_usd * ((e.occurred_at <@ c.new)::int - (e.occurred_at <@ c.old)::int)), 0
    )
    from usage_events e cross join changed c
    where e.organization_id = :organization_id and e.id >= :first_id and e.occurred_at >= :at
        and e.voided_at is null
)
where s.organization_id = :organization_id and s.limit_id = :id and s.period_start = :epoch
"""

_SEEN = """
select posted, held from spend
where organization_id = :organization_id and limit_id = :id and period_start = :epoch
"""

_POSTED_SINCE = """
select coalesce(sum(e.cost_usd), 0)
from spend_limits l
join usage_events e on e.organization_id = l.organization_id and e.occurred_at <@ l.counts_in
where l.organization_id = :organization_id and l.id = :id
    and e.id >= :first_id and e.occurred_at >= :at and e.voided_at is null
"""

_BOUND = """
update spend_limits
set amount_usd = :amount, hard_usd = :hard, settled_usd = :settled, lapses_at = :lapses_at,
    lapsed_usd = :lapsed
where organization_id = :organization_id and id = :id
    and (amount_usd, hard_usd, settled_usd, lapses_at, lapsed_usd)
        is distinct from (:amount, :hard, :settled, :lapses_at, :lapsed)
"""

_DUE = """
select l.organization_id
from spend_limits l
join spend s on s.organization_id = l.organization_id and s.limit_id = l.id
where l.scope = :scope and (
    l.lapses_at <= :now or s.posted < l.settled_usd
    or (s.posted >= l.settled_usd + 0.01 and l.amount_usd > l.settled_usd)
)
"""


class PrepaidRepository(Repository):
    """The limits of the scope `credit`, whose ids are those of credit accounts."""

    async def alone(self, organization_id: OrganizationId) -> None:
        """Keep out everybody who records, until the unit ends."""
        await self.session.execute(text(ALONE), {"organization_id": organization_id})

    async def open(self, organization_id: OrganizationId, limit_id: UUID) -> None:
        """See to it that there is a limit; a new one counts nothing yet."""
        place = _place(organization_id, limit_id)
        await self.session.execute(text(_OPEN), {**place, "scope": CREDIT})
        await self.session.execute(text(_OPEN_SPEND), place)

    async def count_from(
        self, organization_id: OrganizationId, limit_id: UUID, at: datetime
    ) -> None:
        """Count what happens from *at* on, and what did since."""
        await self._count_in("l.counts_in + {}", organization_id, limit_id, at)

    async def count_until(
        self, organization_id: OrganizationId, limit_id: UUID, at: datetime
    ) -> None:
        """Count nothing that happens from *at* on, nor what did since."""
        await self._count_in("l.counts_in - {}", organization_id, limit_id, at)

    async def _count_in(
        self, stretches: str, organization_id: OrganizationId, limit_id: UUID, at: datetime
    ) -> None:
        changed = stretches.format("tstzmultirange(tstzrange(cast(:at as timestamptz), null))")
        await self.session.execute(
            text(_COUNT_IN.format(stretches=changed)),
            {**_place(organization_id, limit_id), "at": at, "first_id": first_id_at(at)},
        )

    async def find(
        self, organization_id: OrganizationId, limit_id: UUID, *, lock: bool = False
    ) -> tuple[Decimal, Decimal] | None:
        """What was posted and what is held; locked, so that nobody is granted more meanwhile."""
        found = await self.session.execute(
            text(_SEEN + " for update" if lock else _SEEN), _place(organization_id, limit_id)
        )
        row = found.first()
        return None if row is None else (row.posted, row.held)

    async def posted_since(
        self, organization_id: OrganizationId, limit_id: UUID, at: datetime
    ) -> Decimal:
        """What of the posted happened at *at* or later."""
        posted = await self.session.scalar(
            text(_POSTED_SINCE),
            {**_place(organization_id, limit_id), "at": at, "first_id": first_id_at(at)},
        )
        return Decimal(posted or 0)

    async def bound(
        self,
        organization_id: OrganizationId,
        limit_id: UUID,
        *,
        amount: Decimal,
        hard: Decimal | None,
        settled: Decimal,
        lapses_at: datetime | None,
        lapsed: Decimal | None,
    ) -> None:
        await self.session.execute(
            text(_BOUND),
            {
                **_place(organization_id, limit_id),
                "amount": amount,
                "hard": hard,
                "settled": settled,
                "lapses_at": lapses_at,
                "lapsed": lapsed,
            },
        )

    async def list_due_for_platform(self, now: datetime) -> list[OrganizationId]:
        """Those of whose use a cent or more can be settled, or whose credit has lapsed."""
        rows = await self.session.scalars(text(_DUE), {"scope": CREDIT, "now": now})
        return [OrganizationId(each) for each in rows]


def _place(organization_id: OrganizationId, limit_id: UUID) -> dict[str, Any]:
    return {"organization_id": organization_id, "id": limit_id, "epoch": EPOCH}
