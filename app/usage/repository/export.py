"""Events in the order of their ids, a page at a time, without the cost of objects."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.usage.domain import EventFilter
from app.usage.models import UsageEvent
from app.usage.repository.reading import matching


class ExportRepository(Repository):
    """Reads what an export hands out."""

    async def following(
        self,
        organization_id: OrganizationId,
        shown: EventFilter,
        after: UUID | None,
        limit: int,
    ) -> Sequence[RowMapping]:
        """The next events of a filter, oldest first; voided ones too."""
        query = select(*UsageEvent.__table__.columns).where(*matching(organization_id, shown))
        if after is not None:
            query = query.where(UsageEvent.id > after)
        rows = await self.session.execute(query.order_by(UsageEvent.id).limit(limit))
        return rows.mappings().all()
