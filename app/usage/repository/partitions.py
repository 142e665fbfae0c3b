"""The monthly partitions of `usage_events`, those that left it, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, select, text

from app.infra.db.repository import Repository
from app.kernel.periods import Period
from app.usage.models import UsageArchive

# The sum of a digest of every row: whatever the order, whatever is changed, added or missing.
_CONTENT = """
select
    count(*) as events,
    count(voided_at) as voided,
    coalesce(sum(quantity), 0) as quantity,
    coalesce(sum(tokens_in), 0) as tokens_in,
    coalesce(sum(tokens_out), 0) as tokens_out,
    coalesce(sum(cost_usd), 0) as cost_usd,
    coalesce(sum(('x' || left(md5(row_to_json(t)::text), 15))::bit(60)::bigint), 0) as digest
from {relation} as t
"""


class PartitionRepository(Repository):
    """The monthly partitions of `usage_events`."""

    platform = True

    async def give_up_soon(self) -> None:
        """Wait for locks no longer than ingest may stand still behind this unit."""
        await self.session.execute(text("set local lock_timeout = '3s'"))

    async def take_time(self) -> None:
        """Let statements of this unit run for as long as a large month needs."""
        await self.session.execute(text("set local statement_timeout = 0"))

    async def exists(self, month: Period) -> bool:
        return bool(
            await self.session.scalar(
                text("select to_regclass(:name) is not null"), {"name": partition(month)}
            )
        )

    async def waiting(self, month: Period, at_most: int) -> int:
        """How many events of a month the default partition holds, counted up to *at_most* + 1."""
        found = await self.session.scalar(
            text(
                f"select count(*) from (select 1 from usage_events_default where {_within(month)}"
                f" limit {at_most + 1}) as found"
            )
        )
        return int(found or 0)

    async def add_month(self, month: Period) -> None:
        """Make the partition of a month, and move there what the default one holds of it."""
        name = partition(month)
        create = f"create table {name} (like usage_events including defaults including constraints)"
        # Nobody may add to the default partition between the move and the attachment.
        lock = "lock table usage_events_default in share row exclusive mode"
        for statement in (create, lock):
            await self.session.execute(text(statement))
        await self._attach(name, month)

    async def attach(self, archive: UsageArchive) -> None:
        """Put a detached month back, with what was backfilled meanwhile."""
        await self.session.execute(
            text("lock table usage_events_default in share row exclusive mode")
        )
        month = Period(archive.starts_at, archive.ends_at)
        name = partition(month)
        await self.session.execute(text(f"alter table {archive.relation} rename to {name}"))
        await self._attach(name, month)
        await self.session.delete(archive)

    async def _attach(self, name: str, month: Period) -> None:
        move = (
            f"with moved as (delete from usage_events_default where {_within(month)} returning *) "
            f"insert into {name} select * from moved"
        )
        attach = (
            f"alter table usage_events attach partition {name} "
            f"for values from ('{month.start.isoformat()}') to ('{month.end.isoformat()}')"
        )
        for statement in (move, attach):
            await self.session.execute(text(statement))

    async def detach(self, month: Period, at: datetime) -> UsageArchive:
        """Take a month out of `usage_events`: from now on nobody changes its rows."""
        name = partition(month)
        portion = 1 + int(
            await self.session.scalar(
                select(func.count()).where(UsageArchive.starts_at == month.start)
            )
            or 0
        )
        # A later portion of a month gets the month's name for its partition again.
        relation = f"{name}_detached_{portion}"
        await self.session.execute(text(f"alter table usage_events detach partition {name}"))
        await self.session.execute(text(f"alter table {name} rename to {relation}"))
        archive = UsageArchive(
            starts_at=month.start,
            portion=portion,
            ends_at=month.end,
            relation=relation,
            state="detached",
            detached_at=at,
        )
        self.session.add(archive)
        await self.session.flush()
        return archive

    async def drop(self, archive: UsageArchive, manifest: dict[str, Any], at: datetime) -> None:
        """Drop a detached month whose file was verified."""
        archive.state, archive.archived_at, archive.manifest = "archived", at, manifest
        await self.session.execute(text(f"drop table {archive.relation}"))

    async def unpriced(self, relation: str) -> list[tuple[str, int]]:
        """Models without a price among events that count, and how many events each has."""
        rows = await self.session.execute(
            text(
                f"select coalesce(provider, '') || '/' || coalesce(model, ''), count(*)"
                f" from {relation} where cost_usd is null and voided_at is null"
                f" group by 1 order by 1"
            )
        )
        return [(row[0], int(row[1])) for row in rows]

    async def content(self, relation: str) -> RowMapping:
        """Count, sums and digest of all rows."""
        await self.take_time()
        return (
            (await self.session.execute(text(_CONTENT.format(relation=relation)))).mappings().one()
        )

    async def lines(
        self, relation: str, after: Sequence[Any] | None, limit: int
    ) -> Sequence[RowMapping]:
        """The next rows in the order of their key, each with all its columns as JSON."""
        await self.take_time()
        where = "" if after is None else "where (organization_id, id, occurred_at) > (:o, :i, :at)"
        rows = await self.session.execute(
            text(
                f"select organization_id, id, occurred_at, row_to_json(t)::text as line"
                f" from {relation} as t {where}"
                f" order by organization_id, id, occurred_at limit :limit"
            ),
            {"limit": limit}
            | ({} if after is None else dict(zip(("o", "i", "at"), after, strict=True))),
        )
        return rows.mappings().all()

    async def find_detached(self, month: Period) -> UsageArchive | None:
        return await self.session.scalar(
            select(UsageArchive).where(
                UsageArchive.starts_at == month.start, UsageArchive.state == "detached"
            )
        )

    async def find_archive(self, since: datetime, until: datetime) -> UsageArchive | None:
        """The first month of a stretch that is no longer in `usage_events`."""
        return await self.session.scalar(
            select(UsageArchive)
            .where(UsageArchive.starts_at < until, UsageArchive.ends_at > since)
            .order_by(UsageArchive.starts_at)
            .limit(1)
        )

    async def list_archives(self) -> list[UsageArchive]:
        rows = await self.session.scalars(
            select(UsageArchive).order_by(UsageArchive.starts_at, UsageArchive.portion)
        )
        return list(rows)

    async def list_partitions(self) -> list[tuple[str, int, int]]:
        """Attached partitions with their size in bytes and the rows the server thinks they have."""
        return await self._sizes(
            "oid in (select inhrelid from pg_inherits where inhparent = 'usage_events'::regclass)"
        )

    async def list_detached(self) -> list[tuple[str, int, int]]:
        """As `list_partitions`, of months that were detached and not dropped yet."""
        return await self._sizes(
            "oid in (select to_regclass(relation) from usage_archives where state = 'detached')"
        )

    async def _sizes(self, which: str) -> list[tuple[str, int, int]]:
        rows = await self.session.execute(
            text(
                "select oid::regclass::text, pg_total_relation_size(oid),"
                " coalesce(pg_stat_get_live_tuples(oid), 0)"
                f" from pg_class where {which} order by 1"
            )
        )
        return [(row[0], int(row[1]), int(row[2])) for row in rows]


def partition(month: Period) -> str:
    return f"usage_events_{month.start:%Y_%m}"


def _within(month: Period) -> str:
    return f"occurred_at >= '{month.start.isoformat()}' and occurred_at < '{month.end.isoformat()}'"
