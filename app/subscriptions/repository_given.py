"""When which given plan was what counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, or_, select

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.subscriptions.given import Stretch
from app.subscriptions.models import GivenStretch


class StretchRepository(Repository):
    """One of an organization's stretches at most is open."""

    def add(self, stretch: GivenStretch) -> None:
        self.session.add(stretch)

    async def find_open(self, organization_id: OrganizationId) -> GivenStretch | None:
        found: GivenStretch | None = await self.session.scalar(
            select(GivenStretch).where(
                GivenStretch.organization_id == organization_id, GivenStretch.until.is_(None)
            )
        )
        return found

    async def end(
        self, organization_id: OrganizationId, stretch: GivenStretch, at: datetime
    ) -> None:
        """End it at *at*; one that did not last is as if it had never been."""
        if at > stretch.since:
            stretch.until = at
            await self.session.flush()
            return
        await self.session.execute(
            delete(GivenStretch).where(
                GivenStretch.organization_id == organization_id, GivenStretch.id == stretch.id
            )
        )

    async def list_for_platform(
        self, organization_ids: Sequence[UUID]
    ) -> dict[UUID, list[Stretch]]:
        """Every stretch of these organizations, oldest first."""
        rows = await self.session.scalars(
            select(GivenStretch)
            .where(GivenStretch.organization_id.in_(organization_ids))
            .order_by(GivenStretch.since)
            .execution_options(populate_existing=True)
        )
        found: dict[UUID, list[Stretch]] = defaultdict(list)
        for row in rows:
            found[row.organization_id].append(row.to_domain())
        return found

    async def list_holders_for_platform(self, since: datetime) -> list[UUID]:
        """Organizations for which a given plan counted at any time after *since*."""
        rows = await self.session.scalars(
            select(GivenStretch.organization_id)
            .where(or_(GivenStretch.until.is_(None), GivenStretch.until > since))
            .distinct()
        )
        return list(rows)
