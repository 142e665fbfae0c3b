"""Requests for payment at Stripe, in and out."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import case, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices.domain import CollectionState
from app.invoices.models import InvoiceRequest
from app.kernel.ids import OrganizationId


class CollectionRepository(Repository):
    """Of an invoice that is paid through Stripe one at a time asks for money."""

    async def claim_all(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> list[InvoiceRequest]:
        """The requests for an invoice, oldest first, locked until the unit ends."""
        found = await self.session.scalars(
            select(InvoiceRequest)
            .where(
                InvoiceRequest.organization_id == organization_id,
                InvoiceRequest.invoice_id == invoice_id,
            )
            .order_by(InvoiceRequest.created_at, InvoiceRequest.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return list(found)

    async def asking(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> InvoiceRequest | None:
        """The one that asks for money, as it stands."""
        return await self.session.scalar(
            select(InvoiceRequest).where(
                InvoiceRequest.organization_id == organization_id,
                InvoiceRequest.invoice_id == invoice_id,
                InvoiceRequest.state.in_(CollectionState.asking()),
            )
        )

    async def open_or_reuse(
        self, organization_id: OrganizationId, wanted: InvoiceRequest
    ) -> InvoiceRequest:
        """The request that asks already, else *wanted*; of two at once one is made."""
        columns = InvoiceRequest.__table__.columns
        values = {column.key: getattr(wanted, column.key) for column in columns}
        values["organization_id"] = organization_id
        await self.session.execute(insert(InvoiceRequest).values(values).on_conflict_do_nothing())
        for request in await self.claim_all(organization_id, wanted.invoice_id):
            if request.state in CollectionState.asking():
                return request
        raise LookupError("a request that was in the way is gone")

    async def add(self, request: InvoiceRequest) -> None:
        self.session.add(request)
        await self.session.flush()

    async def at_stripe(
        self, organization_id: OrganizationId, invoice_ids: Collection[UUID]
    ) -> dict[UUID, str]:
        """Stripe's invoices that collect ours, by our id; of several the paid one, else the
        newest."""
        if not invoice_ids:
            return {}
        found = await self.session.execute(
            select(InvoiceRequest.invoice_id, InvoiceRequest.stripe_invoice_id)
            .where(
                InvoiceRequest.organization_id == organization_id,
                InvoiceRequest.invoice_id.in_(invoice_ids),
                InvoiceRequest.stripe_invoice_id.is_not(None),
            )
            .order_by(
                case((InvoiceRequest.state == CollectionState.PAID.value, 1), else_=0),
                InvoiceRequest.created_at,
                InvoiceRequest.id,
            )
        )
        return {row[0]: str(row[1]) for row in found}
