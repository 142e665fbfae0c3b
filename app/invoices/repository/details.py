"""Billing details in and out."""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices.models import BillingDetails
from app.kernel.ids import OrganizationId

# Made once: making it costs more than asking, and the run asks for every organization.
_DETAILS = (
    select(BillingDetails)
    .where(BillingDetails.organization_id == bindparam("organization_id"))
    .execution_options(populate_existing=True)
)


class DetailsRepository(Repository):
    """One row for each organization that said something."""

    async def find(self, organization_id: OrganizationId) -> BillingDetails | None:
        found = await self.session.scalars(_DETAILS, {"organization_id": organization_id})
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
