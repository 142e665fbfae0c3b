"""The tables of `models.py`, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.recovery.models import RecoveryCase, RecoveryStep

_SHOWN = 200


class RecoveryRepository(Repository):
    """Cases and their steps."""

    def add(self, case: RecoveryCase) -> None:
        self.session.add(case)

    async def list_open(self, organization_id: OrganizationId) -> list[RecoveryCase]:
        query = select(RecoveryCase).where(
            RecoveryCase.organization_id == organization_id, RecoveryCase.closed_at.is_(None)
        )
        return list((await self.session.scalars(query)).all())

    async def list_cases(self, organization_id: OrganizationId) -> list[RecoveryCase]:
        """The last cases, the newest first."""
        query = (
            select(RecoveryCase)
            .where(RecoveryCase.organization_id == organization_id)
            .order_by(RecoveryCase.id.desc())
            .limit(_SHOWN)
        )
        return list((await self.session.scalars(query)).all())

    async def list_steps(self, organization_id: OrganizationId) -> list[RecoveryStep]:
        """The last steps, those first that were heard of last: one clock orders them all."""
        query = (
            select(RecoveryStep)
            .where(RecoveryStep.organization_id == organization_id)
            .order_by(RecoveryStep.recorded_at.desc(), RecoveryStep.id.desc())
            .limit(_SHOWN)
        )
        return list((await self.session.scalars(query)).all())

    async def write(self, organization_id: OrganizationId, cause: str, **values: Any) -> None:
        """Put down a step, unless its cause has one."""
        await self.session.execute(
            insert(RecoveryStep)
            .values(organization_id=organization_id, id=new_id(), cause=cause, **values)
            .on_conflict_do_nothing(index_elements=["organization_id", "cause"])
        )

    async def list_due(
        self, grace_before: datetime, warned_before: datetime, limit: int
    ) -> list[OrganizationId]:
        """Organizations with a case whose grace is over, or that should have been warned."""
        query = (
            select(RecoveryCase.organization_id)
            .where(
                RecoveryCase.closed_at.is_(None),
                RecoveryCase.lapsed_at.is_(None),
                (RecoveryCase.grace_until <= grace_before)
                | (RecoveryCase.warned_at.is_(None) & (RecoveryCase.grace_until <= warned_before)),
            )
            .distinct()
            .limit(limit)
        )
        return [OrganizationId(found) for found in (await self.session.scalars(query)).all()]
