"""Notices in and out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import Cause, NoticeState
from app.notifications.models import Notice, PersonalNotice


class NoticeRepository(Repository):
    """Both tables: an organization's notices, and those of people, which belong to none."""

    async def claim(
        self, organization_id: OrganizationId | None, cause: Cause, at: datetime
    ) -> Notice | PersonalNotice:
        """The row of *cause*, made on its first mention, locked until the unit ends."""
        values = {
            "id": new_id(),
            "cause": cause.key,
            "kind": cause.kind.value,
            "state": NoticeState.PENDING.value,
            "attempts": 0,
            "created_at": at,
        }
        if organization_id is None:
            await self.session.execute(
                insert(PersonalNotice).values(values).on_conflict_do_nothing()
            )
            personal = await self.session.scalars(
                select(PersonalNotice).where(PersonalNotice.cause == cause.key).with_for_update()
            )
            return personal.one()
        values["organization_id"] = organization_id
        await self.session.execute(insert(Notice).values(values).on_conflict_do_nothing())
        found = await self.session.scalars(
            select(Notice)
            .where(
                Notice.organization_id == organization_id,
                Notice.cause == cause.key,
            )
            .with_for_update()
        )
        return found.one()
