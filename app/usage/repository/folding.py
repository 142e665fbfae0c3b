"""Hours that become days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId

_FIGURES = (
    "events",
    "quantity",
    "tokens_in",
    "tokens_out",
    "cached_tokens",
    "cost_usd",
    "unpriced",
)
_MIDNIGHT = "date_trunc('day', hour, 'UTC')"
_STRETCH = "organization_id = :organization_id and hour >= :since and hour < :until"

# One organization after the other by the primary key: a distinct over the table would read it all.
_ORGANIZATIONS = """
with recursive each as (
    (
        select organization_id from usage_hourly
        where cast(:after as uuid) is null or organization_id > :after
        order by organization_id limit 1
    )
    union all
    select (
        select h.organization_id from usage_hourly h
        where h.organization_id > each.organization_id
        order by h.organization_id limit 1
    )
    from each where each.organization_id is not null
)
select organization_id from each where organization_id is not null limit :limit
"""

_DAYS = f"""
select distinct {_MIDNIGHT} as day from usage_hourly
where {_STRETCH} and hour <> {_MIDNIGHT} order by day
"""

# In the order of every flush and void, so that none of them and this one wait in a circle.
_LOCK = f"""
select 1 from usage_hourly where {_STRETCH}
order by hour, event_type collate "C", provider collate "C", model collate "C"
for update
"""

# What is deleted is what is added, in one statement: whatever a void or a late event changes
# meanwhile is either in the rows that are deleted, or stays as a row of its own hour.
_FOLD = f"""
with hours as (
    delete from usage_hourly where {_STRETCH} and hour <> {_MIDNIGHT} returning *
)
insert into usage_hourly as kept (
    organization_id, hour, event_type, provider, model, {", ".join(_FIGURES)}
)
select
    organization_id, {_MIDNIGHT}, event_type, provider, model,
    {", ".join(f"sum({name})" for name in _FIGURES)}
from hours
group by 1, 2, 3, 4, 5
order by 1, 2, event_type collate "C", provider collate "C", model collate "C"
on conflict (organization_id, hour, event_type, provider, model) do update set
    {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in _FIGURES)}
"""


class FoldingRepository(Repository):
    """Folds rows of `usage_hourly`."""

    async def organizations_after_for_platform(
        self, after: UUID | None, limit: int
    ) -> Sequence[OrganizationId]:
        """Those with usage, in the order of their ids."""
        rows = await self.session.scalars(text(_ORGANIZATIONS), {"after": after, "limit": limit})
        return [OrganizationId(each) for each in rows]

    async def days(
        self, organization_id: OrganizationId, since: datetime, until: datetime
    ) -> list[datetime]:
        """Midnights of the days that have hours."""
        rows = await self.session.scalars(
            text(_DAYS), {"organization_id": organization_id, "since": since, "until": until}
        )
        return [each.astimezone(UTC) for each in rows]

    async def fold(self, organization_id: OrganizationId, since: datetime, until: datetime) -> None:
        """Add the hours of whole days up into one row of each day; the second call does nothing."""
        stretch = {"organization_id": organization_id, "since": since, "until": until}
        await self.session.execute(text(_LOCK), stretch)
        await self.session.execute(text(_FOLD), stretch)
