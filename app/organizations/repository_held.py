"""Which plans organizations hold and held, for whoever bills them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, exists, literal, or_, select, text

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.organizations.domain import Held, HeldWindow
from app.organizations.errors import OrganizationNotFound
from app.organizations.models import Organization, QuotaWindow

_ANYONE = text("""
select id from organizations
offset floor(random() * (select count(*) from organizations)) limit 1
""")


class HeldRepository(Repository):
    """Organizations together with their past windows."""

    async def get(self, organization_id: OrganizationId) -> Held:
        """Raises `OrganizationNotFound`."""
        found = await self.session.get(Organization, organization_id)
        if found is None:
            raise OrganizationNotFound
        past = await self._past_for_platform([organization_id])
        return Held(found.to_domain(), tuple(past[organization_id]))

    async def page_for_platform(
        self,
        plans: Sequence[str],
        since: datetime,
        after: UUID | None,
        limit: int,
        also: Sequence[UUID],
    ) -> list[Held]:
        """Those who hold one of *plans*, or held one until after *since*, and those that *also*
        names; by id after *after*."""
        held = exists().where(
            QuotaWindow.organization_id == Organization.id,
            QuotaWindow.plan.in_(plans),
            QuotaWindow.ends_at > since,
        )
        which = or_(Organization.plan.in_(plans), held)
        if also:
            # One array: as single values they may be more than a statement can carry.
            which = or_(which, Organization.id == any_(literal(list(also), ARRAY(Uuid))))
        query = select(Organization).where(which)
        if after is not None:
            query = query.where(Organization.id > after)
        rows = (await self.session.scalars(query.order_by(Organization.id).limit(limit))).all()
        past = await self._past_for_platform([row.id for row in rows])
        return [Held(row.to_domain(), tuple(past[row.id])) for row in rows]

    async def anyone_for_platform(self) -> UUID | None:
        """One organization out of all, by chance; none where there are none."""
        found: UUID | None = await self.session.scalar(_ANYONE)
        return found

    async def _past_for_platform(self, ids: Sequence[UUID]) -> dict[UUID, list[HeldWindow]]:
        found: dict[UUID, list[HeldWindow]] = defaultdict(list)
        rows = await self.session.scalars(
            select(QuotaWindow)
            .where(QuotaWindow.organization_id.in_(ids))
            .order_by(QuotaWindow.starts_at.desc())
        )
        for row in rows:
            found[row.organization_id].append(
                HeldWindow(Period(row.starts_at, row.ends_at), row.plan)
            )
        return found
