"""Requests for payment at Stripe, in and out."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices.models import InvoiceRequest
from app.kernel.ids import OrganizationId


class CollectionRepository(Repository):
    """One for each invoice that is paid through Stripe."""

    async def claim(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> InvoiceRequest | None:
        """The request for an invoice, locked until the unit ends."""
        found = await self.session.scalars(
            select(InvoiceRequest)
            .where(
                InvoiceRequest.organization_id == organization_id,
                InvoiceRequest.invoice_id == invoice_id,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return found.one_or_none()

    async def open_or_reuse(
        self, organization_id: OrganizationId, wanted: InvoiceRequest
    ) -> InvoiceRequest:
        """The request that is there, else *wanted*; of two at once one is made."""
        columns = InvoiceRequest.__table__.columns
        values = {column.key: getattr(wanted, column.key) for column in columns}
        values["organization_id"] = organization_id
        await self.session.execute(insert(InvoiceRequest).values(values).on_conflict_do_nothing())
        found = await self.claim(organization_id, wanted.invoice_id)
        if found is None:
            raise LookupError("a request that was in the way is gone")
        return found

    async def at_stripe(
        self, organization_id: OrganizationId, invoice_ids: Collection[UUID]
    ) -> dict[UUID, str]:
        """Stripe's invoices that collect ours, by our id."""
        if not invoice_ids:
            return {}
        found = await self.session.execute(
            select(InvoiceRequest.invoice_id, InvoiceRequest.stripe_invoice_id).where(
                InvoiceRequest.organization_id == organization_id,
                InvoiceRequest.invoice_id.in_(invoice_ids),
                InvoiceRequest.stripe_invoice_id.is_not(None),
            )
        )
        return {row[0]: str(row[1]) for row in found}
