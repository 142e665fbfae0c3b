"""Proofs of issued invoices, and the heads of the chains that they are."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import insert, select, update

from app.infra.db.repository import Repository
from app.invoices.models import Invoice, InvoiceNumberCounter, InvoiceProof
from app.kernel.ids import OrganizationId


class ProofRepository(Repository):
    """Proofs are added, never changed."""

    async def add(self, organization_id: OrganizationId, proof: InvoiceProof) -> None:
        """Store a proof and make it the head of its series, in one statement.

        The series' counter is locked by whoever took the number.
        """
        values = {column.key: getattr(proof, column.key) for column in InvoiceProof.__table__.c}
        values["organization_id"] = organization_id
        head = (
            update(InvoiceNumberCounter)
            .where(
                InvoiceNumberCounter.seller == proof.seller,
                InvoiceNumberCounter.year == proof.year,
            )
            .values(last_hash=proof.hash)
            .cte("head")
        )
        await self.session.execute(insert(InvoiceProof).values(values).add_cte(head))

    async def find(
        self, organization_id: OrganizationId, invoice_id: UUID
    ) -> tuple[Invoice | None, InvoiceProof | None]:
        """An invoice and its proof, as far as there are such."""
        row = (
            await self.session.execute(
                select(Invoice, InvoiceProof)
                .outerjoin(
                    InvoiceProof,
                    (InvoiceProof.organization_id == Invoice.organization_id)
                    & (InvoiceProof.id == Invoice.id),
                )
                .where(Invoice.organization_id == organization_id, Invoice.id == invoice_id)
            )
        ).first()
        return (row[0], row[1]) if row is not None else (None, None)
