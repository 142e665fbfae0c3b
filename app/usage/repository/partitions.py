"""The monthly partitions of `usage_events`."""

from __future__ import annotations

from sqlalchemy import text

from app.infra.db.repository import Repository
from app.kernel.periods import Period


class PartitionRepository(Repository):
    """The monthly partitions of `usage_events`."""

    platform = True

    async def exists(self, month: Period) -> bool:
        return bool(
            await self.session.scalar(
                text("select to_regclass(:name) is not null"), {"name": _partition(month)}
            )
        )

    async def add_month(self, month: Period) -> None:
        """Make the partition of a month, and move there what the default one holds of it."""
        name = _partition(month)
        start, end = month.start.isoformat(), month.end.isoformat()
        bounds = f"occurred_at >= '{start}' and occurred_at < '{end}'"
        create = f"create table {name} (like usage_events including defaults including constraints)"
        move = (
            f"with moved as (delete from usage_events_default where {bounds} returning *) "
            f"insert into {name} select * from moved"
        )
        attach = (
            f"alter table usage_events attach partition {name} "
            f"for values from ('{start}') to ('{end}')"
        )
        for statement in (create, move, attach):
            await self.session.execute(text(statement))


def _partition(month: Period) -> str:
    return f"usage_events_{month.start:%Y_%m}"
