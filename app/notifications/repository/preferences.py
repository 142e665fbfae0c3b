"""What is not mailed, in and out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.notifications.domain import NoticeKind
from app.notifications.models import NoticePreference


class PreferenceRepository(Repository):
    """Preferences, by member; the organization's own under its own id."""

    async def list_muted(
        self, organization_id: OrganizationId, whose: Collection[UUID]
    ) -> Mapping[UUID, frozenset[NoticeKind]]:
        """What each of them has muted; who has muted nothing is not in it."""
        found = await self.session.scalars(
            select(NoticePreference)
            .where(
                NoticePreference.organization_id == organization_id,
                NoticePreference.id.in_(whose),
            )
            .execution_options(populate_existing=True)
        )
        return {row.id: frozenset(NoticeKind(kind) for kind in row.muted) for row in found}

    async def claim_muted(
        self, organization_id: OrganizationId, whose: UUID, at: datetime
    ) -> frozenset[NoticeKind]:
        """What somebody has muted, locked until the unit ends."""
        await self.session.execute(
            insert(NoticePreference)
            .values(organization_id=organization_id, id=whose, muted=[], updated_at=at)
            .on_conflict_do_nothing()
        )
        row = await self.session.get_one(
            NoticePreference,
            (organization_id, whose),
            with_for_update=True,
            populate_existing=True,
        )
        return frozenset(NoticeKind(kind) for kind in row.muted)

    async def put(
        self,
        organization_id: OrganizationId,
        whose: UUID,
        muted: Collection[NoticeKind],
        at: datetime,
    ) -> None:
        values = {"muted": sorted(kind.value for kind in muted), "updated_at": at}
        await self.session.execute(
            insert(NoticePreference)
            .values(organization_id=organization_id, id=whose, **values)
            .on_conflict_do_update(
                index_elements=[NoticePreference.organization_id, NoticePreference.id], set_=values
            )
        )
