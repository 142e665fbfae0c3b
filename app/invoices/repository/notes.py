"""Credit notes with what they take back of each line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Select, select

from app.infra.db.repository import Repository, encode_cursor
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import party_from_json
from app.invoices.domain import Noted, NotedLine, NoteKind, RefundState, RefundWay, Settlement
from app.invoices.errors import CreditNoteNotFound
from app.invoices.models import (
    Invoice,
    InvoiceLine,
)
from app.invoices.models_notes import CreditNote, CreditNoteLine
from app.invoices.repository.stripe_notes import StripeNoteRepository, invoices_of
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.pages import Page, PageRequest


class NoteRepository(Repository):
    """Reads credit notes, ours and Stripe's; of ours only what became of a refund is changed."""

    def __init__(self, work: UnitOfWork) -> None:
        super().__init__(work)
        self._of_stripe = StripeNoteRepository(work)

    async def get(self, organization_id: OrganizationId, note_id: UUID) -> Noted:
        """Raises `CreditNoteNotFound`, also for another organization's."""
        row = await self.session.get(CreditNote, (organization_id, note_id))
        if row is not None:
            return (await self._whole([row]))[0]
        found = await self._of_stripe.find(organization_id, note_id)
        if found is None:
            raise CreditNoteNotFound
        return found

    async def claim(self, organization_id: OrganizationId, note_id: UUID) -> CreditNote | None:
        """The note's row, locked until the unit ends."""
        found = await self.session.scalars(
            select(CreditNote)
            .where(CreditNote.organization_id == organization_id, CreditNote.id == note_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return found.one_or_none()

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[Noted]:
        ours = await self._page(
            select(CreditNote).where(CreditNote.organization_id == organization_id), request
        )
        theirs = await self._of_stripe.list_for_organization(organization_id, request)
        return _together(ours, theirs, request)

    async def list_for_operators(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None,
        refund: RefundState | None,
    ) -> Page[Noted]:
        query = select(CreditNote)
        if organization_id is not None:
            query = query.where(CreditNote.organization_id == organization_id)
        if refund is not None:
            # What becomes of refunds at Stripe is seen with the refunds; nobody waits for them.
            query = query.where(CreditNote.refund_state == refund.value)
            return await self._page(query, request)
        theirs = await self._of_stripe.list_for_operators(request, organization_id)
        return _together(await self._page(query, request), theirs, request)

    async def owner_for_operators(self, note_id: UUID) -> OrganizationId:
        """Whose note this is. Raises `CreditNoteNotFound`."""
        found = await self.session.scalar(
            select(CreditNote.organization_id).where(CreditNote.id == note_id)
        )
        if found is None:
            raise CreditNoteNotFound
        return OrganizationId(found)

    async def list_promised_due(self, limit: int) -> list[tuple[OrganizationId, UUID]]:
        """Notes whose refund Stripe is still to be asked for, the oldest first."""
        found = await self.session.execute(
            select(CreditNote.organization_id, CreditNote.id)
            .where(
                CreditNote.refund_way == RefundWay.STRIPE.value,
                CreditNote.refund_state == RefundState.REQUESTED.value,
            )
            .order_by(CreditNote.id)
            .limit(limit)
        )
        return [(OrganizationId(row[0]), row[1]) for row in found]

    async def of_invoices(
        self, organization_id: OrganizationId, invoice_ids: Collection[UUID]
    ) -> dict[UUID, list[Noted]]:
        """The notes of each invoice, oldest first."""
        found = await self.session.scalars(
            select(CreditNote)
            .where(
                CreditNote.organization_id == organization_id,
                CreditNote.invoice_id.in_(invoice_ids),
            )
            .order_by(CreditNote.id)
        )
        grouped: dict[UUID, list[Noted]] = defaultdict(list)
        ours = await self._whole(found.all())
        for note in (*ours, *await self._of_stripe.of_invoices(organization_id, invoice_ids)):
            grouped[note.invoice_id].append(note)
        return grouped

    async def _page(self, query: Select[CreditNote], request: PageRequest) -> Page[Noted]:
        page = await self.page(query, request, CreditNote.id, lambda row: row.id)
        return Page(await self._whole(page.items), page.next_cursor)

    async def _whole(self, rows: Sequence[CreditNote]) -> list[Noted]:
        """The notes with their lines and with what their invoices say."""
        if not rows:
            return []
        owners = {row.organization_id for row in rows}
        invoices = await invoices_of(self.session, rows)
        found = await self.session.execute(
            select(CreditNoteLine, InvoiceLine.position, InvoiceLine.description)
            .join(
                InvoiceLine,
                (InvoiceLine.organization_id == CreditNoteLine.organization_id)
                & (InvoiceLine.id == CreditNoteLine.line_id),
            )
            .where(
                CreditNoteLine.organization_id.in_(owners),
                CreditNoteLine.credit_note_id.in_([row.id for row in rows]),
            )
            .order_by(InvoiceLine.position)
        )
        lines: dict[UUID, list[tuple[CreditNoteLine, int, str]]] = defaultdict(list)
        for line, position, description in found:
            lines[line.credit_note_id].append((line, position, description))
        return [_noted(row, invoices[row.invoice_id], lines[row.id]) for row in rows]


def _together(ours: Page[Noted], theirs: Page[Noted], request: PageRequest) -> Page[Noted]:
    """One page of both, newest first."""
    found = sorted([*ours.items, *theirs.items], key=lambda note: note.id, reverse=True)
    items = found[: request.limit]
    more = len(found) > len(items) or ours.has_more or theirs.has_more
    return Page(items, encode_cursor(items[-1].id) if more else None)


def _noted(
    row: CreditNote, invoice: Invoice, lines: Sequence[tuple[CreditNoteLine, int, str]]
) -> Noted:
    currency = Currency(row.currency)
    return Noted(
        id=row.id,
        organization_id=OrganizationId(row.organization_id),
        invoice_id=row.invoice_id,
        invoice_number=invoice.number or "",
        number=row.number,
        kind=NoteKind(row.kind),
        settlement=Settlement(row.settlement),
        reason=row.reason,
        net=Money(row.net, currency),
        tax=Money(row.tax, currency),
        total=Money(row.total, currency),
        issued_at=row.issued_at,
        lines=tuple(
            NotedLine(
                position=position,
                description=description,
                amount=Money(line.amount, currency),
                net=Money(line.net, currency),
                tax=Money(line.tax, currency),
            )
            for line, position, description in lines
        ),
        refund=row.refund,
        seller=party_from_json(invoice.seller),
        customer=party_from_json(invoice.customer),
    )
