"""Invoices of either origin, with their lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.invoices import domain
from app.invoices.domain import InvoiceStatus
from app.invoices.errors import InvoiceNotFound
from app.invoices.models import Invoice, InvoiceLine, OwnInvoice
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page, PageRequest
from app.kernel.periods import Period


class InvoiceRepository(Repository):
    """Invoices with their lines, by organization."""

    async def add_unless_mirrored(self, organization_id: OrganizationId, invoice: Invoice) -> bool:
        """Store a mirrored invoice; False when Stripe's id is there already, also by a racing one."""
        values = {column.key: getattr(invoice, column.key) for column in Invoice.__table__.columns}
        values["organization_id"] = organization_id
        stored = await self.session.execute(
            insert(Invoice).values(values).on_conflict_do_nothing().returning(Invoice.id)
        )
        return stored.scalar_one_or_none() is not None

    async def claim_mirrored(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> Invoice:
        """The mirrored invoice, locked until the unit ends."""
        found = await self.session.scalars(
            select(Invoice)
            .where(
                Invoice.organization_id == organization_id,
                Invoice.stripe_invoice_id == stripe_invoice_id,
            )
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return found.one()

    async def find_mirrored(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> Invoice | None:
        return await self.session.scalar(
            select(Invoice).where(
                Invoice.organization_id == organization_id,
                Invoice.stripe_invoice_id == stripe_invoice_id,
            )
        )

    async def replace_lines(
        self, organization_id: OrganizationId, invoice_id: UUID, lines: Sequence[InvoiceLine]
    ) -> None:
        await self.session.execute(
            delete(InvoiceLine).where(
                InvoiceLine.organization_id == organization_id,
                InvoiceLine.invoice_id == invoice_id,
            )
        )
        self.session.add_all(lines)
        await self.session.flush()

    async def get(self, organization_id: OrganizationId, invoice_id: UUID) -> domain.Invoice:
        """Raises `InvoiceNotFound`, also for another organization's."""
        found = await self.session.get(Invoice, (organization_id, invoice_id))
        if found is None:
            raise InvoiceNotFound
        lines = await self._lines(organization_id, [invoice_id])
        own = await self._own(organization_id, [invoice_id])
        return found.to_domain(lines[invoice_id], own.get(invoice_id))

    async def find_for_operators(self, invoice_id: UUID) -> domain.Invoice | None:
        query = select(Invoice).where(Invoice.id == invoice_id)
        found: Invoice | None = await self.session.scalar(query)
        return None if found is None else found.to_domain([])

    async def list_for_organization(
        self,
        organization_id: OrganizationId,
        request: PageRequest,
        status: InvoiceStatus | None,
    ) -> Page[domain.Invoice]:
        query = select(Invoice).where(Invoice.organization_id == organization_id)
        if status is not None:
            query = query.where(Invoice.status == status.value)
        page = await self.page(query, request, Invoice.id, lambda invoice: invoice.id)
        ids = [invoice.id for invoice in page.items]
        lines = await self._lines(organization_id, ids)
        own = await self._own(organization_id, ids)
        return page.map(lambda row: row.to_domain(lines[row.id], own.get(row.id)))

    async def following(
        self, organization_id: OrganizationId, period: Period, after: UUID | None, limit: int
    ) -> list[domain.Invoice]:
        """Invoices issued in *period* that come after one, oldest first."""
        issued = func.coalesce(Invoice.issued_at, Invoice.created_at)
        query = select(Invoice).where(
            Invoice.organization_id == organization_id,
            Invoice.number.is_not(None),
            Invoice.status != InvoiceStatus.DRAFT.value,
            issued >= period.start,
            issued < period.end,
        )
        if after is not None:
            query = query.where(Invoice.id > after)
        found = (await self.session.scalars(query.order_by(Invoice.id).limit(limit))).all()
        ids = [row.id for row in found]
        lines = await self._lines(organization_id, ids)
        own = await self._own(organization_id, ids)
        return [row.to_domain(lines[row.id], own.get(row.id)) for row in found]

    async def _own(
        self, organization_id: OrganizationId, invoice_ids: Sequence[UUID]
    ) -> dict[UUID, OwnInvoice]:
        found = await self.session.scalars(
            select(OwnInvoice).where(
                OwnInvoice.organization_id == organization_id, OwnInvoice.id.in_(invoice_ids)
            )
        )
        return {row.id: row for row in found}

    async def _lines(
        self, organization_id: OrganizationId, invoice_ids: Sequence[UUID]
    ) -> dict[UUID, list[InvoiceLine]]:
        found = await self.session.scalars(
            select(InvoiceLine)
            .where(
                InvoiceLine.organization_id == organization_id,
                InvoiceLine.invoice_id.in_(invoice_ids),
            )
            .order_by(InvoiceLine.invoice_id, InvoiceLine.position)
        )
        grouped: dict[UUID, list[InvoiceLine]] = defaultdict(list)
        for line in found:
            grouped[line.invoice_id].append(line)
        return grouped
