"""Billing details in and out."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices.models import BillingDetails
from app.kernel.ids import OrganizationId


class DetailsRepository(Repository):
    """One row for each organization that said something."""

    async def find(self, organization_id: OrganizationId) -> BillingDetails | None:
        found = await self.session.scalars(
            select(BillingDetails)
            .where(BillingDetails.organization_id == organization_id)
            .execution_options(populate_existing=True)
        )
        return found.one_or_none()

    async def put(self, organization_id: OrganizationId, details: BillingDetails) -> None:
        """Store them in place of what was there."""
        columns = [column.key for column in BillingDetails.__table__.columns if column.key != "id"]
        values = {name: getattr(details, name) for name in columns}
        values["organization_id"] = organization_id
        await self.session.execute(
            insert(BillingDetails)
            .values(id=details.id, **values)
            .on_conflict_do_update(index_elements=[BillingDetails.organization_id], set_=values)
        )
