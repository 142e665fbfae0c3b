"""Counting again from raw rows: events that belong to another window, counters that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.usage.ddl.gate import ALONE, SHARED
from app.usage.domain import first_id_at
from app.usage.models import UsageCounter

Stretches = Sequence[tuple[Period, datetime]]
"""Parts of time, each with the start of the window in which it counts."""

_MISPLACED = """
    from unnest(
        cast(:starts as timestamptz[]), cast(:ends as timestamptz[]), cast(:windows as timestamptz[])
    ) as s (starts_at, ends_at, window_start)
    join usage_events e on e.occurred_at >= s.starts_at and e.occurred_at < s.ends_at
    where e.organization_id = :organization_id and e.id between :first and :last
        and e.occurred_at >= :since and e.window_start <> s.window_start
"""

# `counted` holds a text for what adds up, and an object that names the way for the rest.
_COUNTS = f"""
    select c.key as metric, coalesce(k.kind, 'sum') as kind,
        coalesce(c.value ->> k.kind, c.value #>> '{{}}') as value, w.window_start, w.sign
    from (
        select e.counted, e.window_start as old_start, s.window_start as new_start
        {_MISPLACED} and e.voided_at is null
    ) as moved
    cross join lateral jsonb_each(moved.counted) as c
    left join lateral (
        select jsonb_object_keys(case jsonb_typeof(c.value) when 'object' then c.value end) as kind
    ) as k on true
    cross join lateral (values (moved.old_start, -1), (moved.new_start, 1)) as w (window_start, sign)
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some events, by their ids, and where each part of time counts."""

    since: datetime
    stretches: Stretches
    first: UUID
    last: UUID

    def arguments(self, organization_id: OrganizationId) -> dict[str, Any]:
        return {
            "organization_id": organization_id,
            "since": self.since,
            "starts": [period.start for period, _ in self.stretches],
            "ends": [period.end for period, _ in self.stretches],
            "windows": [window_start for _, window_start in self.stretches],
            "first": self.first,
            "last": self.last,
        }


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """By how much a counter moves, and how its metric is aggregated."""

    metric: str
    window_start: datetime
    kind: str
    amount: Decimal


class RecountRepository(Repository):
    """Events placed again, and the counters of the windows they leave and enter."""

    async def alone(self, organization_id: OrganizationId) -> None:
        """Keep everybody out who records or voids, until the unit ends."""
        await self.session.execute(text(ALONE), {"organization_id": organization_id})

    async def beside(self, organization_id: OrganizationId) -> None:
        """Keep recounts out until the unit ends."""
        await self.session.execute(text(SHARED), {"organization_id": organization_id})

    async def find_misplaced(
        self, organization_id: OrganizationId, among: Stretch, limit: int
    ) -> tuple[UUID, UUID] | None:
        """The first and the last id of the next events that count in another window."""
        row = (
            await self.session.execute(
                text(
                    "select (array_agg(id order by id))[1], (array_agg(id order by id desc))[1]"
                    f" from (select e.id {_MISPLACED} order by e.id limit :limit) as found"
                ),
                {**among.arguments(organization_id), "limit": limit},
            )
        ).one()
        return (row[0], row[1]) if row[0] is not None else None

    async def list_changes(self, organization_id: OrganizationId, among: Stretch) -> list[Change]:
        """What placing the events again does to counters, in the order in which those lock."""
        rows = await self.session.execute(
            text(
                "select metric, window_start, kind,"
                " sum(case kind when 'sum' then sign * value::numeric else 0 end)"
                f" from ({_COUNTS}) as counts group by 1, 2, 3"
            ),
            among.arguments(organization_id),
        )
        return sorted(Change(*row) for row in rows)

    async def add(self, organization_id: OrganizationId, change: Change) -> None:
        """Move a counter, which is made if there is none; it is locked until the unit ends."""
        statement = insert(UsageCounter).values(
            organization_id=organization_id,
            metric=change.metric,
            window_start=change.window_start,
            used=change.amount,
            held=0,
            announced_percent=0,
        )
        await self.session.execute(
            statement.on_conflict_do_update(
                index_elements=["organization_id", "metric", "window_start"],
                set_={"used": UsageCounter.used + statement.excluded.used},
            )
        )

    async def move_values(self, organization_id: OrganizationId, among: Stretch) -> None:
        """Take values out of one window's into another's; their counters must be locked."""
        await self.session.execute(
            text(
                f"""
                with changes as (
                    select metric, window_start, value::uuid as value_hash, sum(sign) as events
                    from ({_COUNTS}) as counts where kind = 'unique' group by 1, 2, 3
                ),
                changed as (
                    insert into usage_values as v
                        (organization_id, metric, window_start, value_hash, events)
                    select :organization_id, metric, window_start, value_hash, events
                    from changes
                    order by metric collate "C", window_start, value_hash
                    on conflict (organization_id, metric, window_start, value_hash)
                    do update set events = v.events + excluded.events
                    returning metric, window_start, value_hash, events
                ),
                fresh as (
                    select metric, window_start,
                        count(*) filter (where now_.events > 0 and now_.events = changes.events)
                        - count(*) filter (where now_.events = 0) as amount
                    from changed as now_ join changes using (metric, window_start, value_hash)
                    where changes.events <> 0
                    group by 1, 2
                )
                update usage_counters c set used = c.used + fresh.amount from fresh
                where c.organization_id = :organization_id and c.metric = fresh.metric
                    and c.window_start = fresh.window_start
                """
            ),
            among.arguments(organization_id),
        )

    async def place(self, organization_id: OrganizationId, among: Stretch) -> int:
        """Write down the windows to which the events belong; returns how many had another."""
        moved = await self.session.execute(
            text(
                f"""
                update usage_events as u set window_start = found.new_start
                from (select e.id, e.occurred_at, s.window_start as new_start {_MISPLACED}) as found
                where u.organization_id = :organization_id and u.id = found.id
                    and u.occurred_at = found.occurred_at
                returning u.id
                """
            ),
            among.arguments(organization_id),
        )
        return len(moved.all())

    async def recount(
        self, organization_id: OrganizationId, metric: str, window_start: datetime, kind: str
    ) -> None:
        """Work a `max` or `latest` counter out again from the events that are there."""
        order = "amount desc" if kind == "max" else "occurred_at desc, amount desc"
        await self.session.execute(
            text(
                f"""
                with counting as (
                    select (counted -> cast(:metric as text) ->> :kind)::numeric as amount,
                        occurred_at
                    from usage_events
                    where organization_id = :organization_id and window_start = :window_start
                        and id >= :first and occurred_at >= :window_start
                        and counted ? cast(:metric as text) and voided_at is null
                ),
                left_over as (
                    select * from counting where amount is not null order by {order} limit 1
                )
                update usage_counters set
                    used = coalesce((select amount from left_over), 0),
                    latest_at = (select occurred_at from left_over)
                where organization_id = :organization_id and metric = :metric
                    and window_start = :window_start
                """
            ),
            {
                "organization_id": organization_id,
                "metric": metric,
                "kind": kind,
                "window_start": window_start,
                "first": first_id_at(window_start),
            },
        )
