"""Credit notes that were made at Stripe, kept and read as ours are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.infra.db.repository import Repository
from app.invoices.document import party_from_json
from app.invoices.domain import (
    Noted,
    NotedLine,
    NoteKind,
    NoteRefund,
    RefundState,
    RefundWay,
    Settlement,
)
from app.invoices.models import Invoice, InvoiceLine
from app.invoices.models_notes import CreditNote, StripeNote
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.pages import Page, PageRequest

_GOODWILL = frozenset({None, "product_unsatisfactory"})
"""Of Stripe's reasons those that do not say that something was wrongly billed."""

_STATES = {
    "succeeded": RefundState.MADE,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}

_REFUNDS = text("""
select n.id, r.status, r.failure_reason, r.created_at
from stripe_credit_notes n
cross join lateral jsonb_to_recordset(n.refunds) as part (refund text)
join refunds r on r.organization_id = n.organization_id and r.stripe_refund_id = part.refund
where n.organization_id = any(:owners) and n.id = any(:ids)
order by r.created_at
""")


async def invoices_of(
    session: AsyncSession, notes: Sequence[CreditNote] | Sequence[StripeNote]
) -> dict[UUID, Invoice]:
    """The invoices that *notes* are of, by id."""
    found = await session.scalars(
        select(Invoice).where(
            Invoice.organization_id.in_({note.organization_id for note in notes}),
            Invoice.id.in_({note.invoice_id for note in notes}),
        )
    )
    return {invoice.id: invoice for invoice in found}


class StripeNoteRepository(Repository):
    """What Stripe says of a note never changes, but that it becomes void."""

    async def put(self, organization_id: OrganizationId, values: dict[str, Any]) -> None:
        """Keep a note; one that is known void stays so, whatever an older answer says."""
        added = insert(StripeNote).values(organization_id=organization_id, **values)
        await self.session.execute(
            added.on_conflict_do_update(
                index_elements=["organization_id", "stripe_credit_note_id"],
                set_={
                    "memo": added.excluded.memo,
                    "voided_at": func.coalesce(StripeNote.voided_at, added.excluded.voided_at),
                },
            )
        )

    async def find(self, organization_id: OrganizationId, note_id: UUID) -> Noted | None:
        row = await self.session.get(StripeNote, (organization_id, note_id))
        return (await self._whole([row]))[0] if row is not None else None

    async def of_invoices(
        self, organization_id: OrganizationId, invoice_ids: Collection[UUID]
    ) -> list[Noted]:
        """Oldest first."""
        found = await self.session.scalars(
            select(StripeNote)
            .where(
                StripeNote.organization_id == organization_id,
                StripeNote.invoice_id.in_(invoice_ids),
            )
            .order_by(StripeNote.id)
        )
        return await self._whole(found.all())

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[Noted]:
        return await self._page(
            select(StripeNote).where(StripeNote.organization_id == organization_id), request
        )

    async def list_for_operators(
        self, request: PageRequest, organization_id: OrganizationId | None
    ) -> Page[Noted]:
        query = select(StripeNote)
        if organization_id is not None:
            query = query.where(StripeNote.organization_id == organization_id)
        return await self._page(query, request)

    async def _page(self, query: Select[StripeNote], request: PageRequest) -> Page[Noted]:
        page = await self.page(query, request, StripeNote.id, lambda row: row.id)
        return Page(await self._whole(page.items), page.next_cursor)

    async def _whole(self, rows: Sequence[StripeNote]) -> list[Noted]:
        """The notes with what their invoices say, and what became of their refunds."""
        if not rows:
            return []
        owners = {row.organization_id for row in rows}
        of_rows = {row.invoice_id for row in rows}
        invoices = await invoices_of(self.session, rows)
        billed = await self.session.execute(
            select(InvoiceLine.invoice_id, InvoiceLine.stripe_line_id, InvoiceLine.position).where(
                InvoiceLine.organization_id.in_(owners), InvoiceLine.invoice_id.in_(of_rows)
            )
        )
        places: dict[tuple[UUID, str | None], int] = {
            (invoice_id, line_id): position for invoice_id, line_id, position in billed
        }
        sent = await self.session.execute(
            _REFUNDS, {"owners": list(owners), "ids": [row.id for row in rows]}
        )
        refunds = {found.id: found for found in sent}
        return [_noted(row, invoices[row.invoice_id], places, refunds.get(row.id)) for row in rows]


def _noted(
    row: StripeNote, invoice: Invoice, places: dict[tuple[UUID, str | None], int], sent: Any
) -> Noted:
    currency = Currency(row.currency)
    return Noted(
        id=row.id,
        organization_id=OrganizationId(row.organization_id),
        invoice_id=row.invoice_id,
        invoice_number=invoice.number or "",
        number=row.number,
        kind=NoteKind.GOODWILL if row.reason in _GOODWILL else NoteKind.CORRECTION,
        settlement=_settlement(row),
        reason=row.memo or (row.reason or "").replace("_", " ").capitalize(),
        net=Money(row.total - row.tax, currency),
        tax=Money(row.tax, currency),
        total=Money(row.total, currency),
        issued_at=row.issued_at,
        lines=tuple(
            NotedLine(
                position=places.get((row.invoice_id, line["line"])) if line["line"] else None,
                description=line["description"],
                amount=Money(line["amount"], currency),
                net=Money(line["amount"] - line["discount"], currency),
                tax=Money(line["tax"], currency),
            )
            for line in row.lines
        ),
        refund=_refund(row, sent),
        seller=party_from_json(invoice.seller),
        customer=party_from_json(invoice.customer),
        voided_at=row.voided_at,
        by_hand=Money(row.by_hand, currency),
    )


def _settlement(row: StripeNote) -> Settlement:
    """Where it goes more than one way, money that is sent comes first."""
    if row.refunds or row.by_hand:
        return Settlement.REFUND
    return Settlement.BALANCE if row.to_balance else Settlement.REDUCTION


def _refund(row: StripeNote, sent: Any) -> NoteRefund | None:
    if row.refunds:
        return NoteRefund(
            way=RefundWay.STRIPE,
            state=_STATES.get(sent.status, RefundState.PENDING) if sent else RefundState.PENDING,
            reference=row.refunds[-1]["refund"],
            failure=sent.failure_reason if sent else None,
            refunded_at=sent.created_at if sent else None,
        )
    if row.by_hand:
        return NoteRefund(RefundWay.TRANSFER, RefundState.MADE, None, None, row.issued_at)
    return None
