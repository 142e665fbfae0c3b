"""Credit notes: what is taken back of an invoice that was issued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import (
    CreditLedger,
    InvoiceStatus,
    Noted,
    NoteKind,
    NoteRequest,
    Settlement,
)
from app.invoices.errors import CreditTooLarge, InvoiceNotIssued, NothingToCredit
from app.invoices.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from app.invoices.numbering import InvoiceNumbers
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.desk import OPEN
from app.invoices.service.issuing import InvoiceIssuing
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money


class CreditNotes:
    """Never more than the invoice: each line keeps count, and the invoice's row has a floor."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        issuing: InvoiceIssuing,
        numbers: InvoiceNumbers,
        credits: CreditLedger,
        audit: AuditLog,
        clock: Clock,
        seller: str,
    ) -> None:
        self._work = work
        self._own = own
        self._issuing = issuing
        self._numbers = numbers
        self._credits = credits
        self._audit = audit
        self._clock = clock
        self._seller = seller

    async def list(self, organization_id: OrganizationId, invoice_id: UUID) -> Sequence[Noted]:
        """The credit notes of an invoice, oldest first."""
        async with self._work.begin(organization_id):
            rows = await self._own.credit_notes(organization_id, invoice_id)
            return [_noted(row) for row in rows]

    async def issue(self, invoice_id: UUID, request: NoteRequest) -> Noted:
        """Take back a part of an issued invoice, with the tax on it.

        Raises `InvoiceNotIssued`, `NothingToCredit`, and `CreditTooLarge` for more than a line
        has left, than an open invoice still asks for, or, as a refund, than was paid.
        """
        now = self._clock.now()
        async with self._work.begin_platform():
            owner = await self._own.owner_for_operators(invoice_id)
        async with self._work.begin(owner):
            invoice, own = await self._own.claim(owner, invoice_id)
            if invoice.status not in (*OPEN, InvoiceStatus.PAID.value):
                raise InvoiceNotIssued(status=invoice.status)
            lines = {line.position: line for line in await self._own.lines(owner, invoice_id)}
            taken = await self._own.taken_back(owner, invoice_id)
            note = CreditNote(
                organization_id=owner,
                id=new_id(),
                invoice_id=invoice_id,
                kind=request.kind.value,
                reason=request.reason,
                currency=invoice.currency,
                net=0,
                tax=0,
                issued_at=now,
                refund_reference=request.refund_reference,
            )
            parts = [
                _part(note, lines.get(position), amount, taken)
                for position, amount in sorted(request.amounts.items())
            ]
            note.net = sum(part.net for part in parts)
            note.tax = sum(part.tax for part in parts)
            note.total = note.net + note.tax
            if note.total <= 0:
                raise NothingToCredit(reason="nothing is left of these lines")
            if note.total > own.creditable:
                raise CreditTooLarge(left=own.creditable)
            note.settlement = await self._settle(owner, invoice, note, request)
            own.creditable -= note.total
            if request.kind is NoteKind.CORRECTION:
                corrected = {lines[position].window_start for position in request.amounts}
                await self._own.look_again(owner, [one for one in corrected if one is not None])
            self._audit.record(
                "invoices.credited",
                encode_id("inv", invoice_id),
                organization_id=owner,
                after={"total": note.total, "kind": note.kind, "settlement": note.settlement},
                reason=request.reason,
            )
            note.number = await self._numbers.take(self._seller, now, series="CN")
            self._own.add(note)
            await self._own.session.flush()
            for part in parts:
                self._own.add(part)
            return _noted(note)

    async def _settle(
        self, owner: OrganizationId, invoice: Invoice, note: CreditNote, request: NoteRequest
    ) -> str:
        if invoice.status in OPEN:
            if note.total > invoice.amount_remaining:
                raise CreditTooLarge(left=invoice.amount_remaining)
            invoice.amount_remaining -= note.total
            if not invoice.amount_remaining:
                self._issuing.paid(invoice)
            return Settlement.REDUCTION.value
        if request.settlement is Settlement.REFUND:
            notes = await self._own.credit_notes(owner, invoice.id)
            refunded = sum(one.total for one in notes if one.settlement == Settlement.REFUND.value)
            if note.total > invoice.amount_paid - refunded:
                raise CreditTooLarge(left=invoice.amount_paid - refunded)
            return Settlement.REFUND.value
        amount = Money(note.total, Currency(note.currency))
        await self._credits.grant_back(owner, note.id, amount)
        return Settlement.CREDIT.value


def _part(
    note: CreditNote,
    line: InvoiceLine | None,
    asked: int | None,
    taken: Mapping[UUID, tuple[int, int, int]],
) -> CreditNoteLine:
    """What *asked* of a line's amount is, net and tax. Parts of a line add up to the line."""
    if line is None or line.amount <= 0:
        raise NothingToCredit(reason="that line cannot be credited")
    before, net_before, tax_before = taken.get(line.id, (0, 0, 0))
    amount = line.amount - before if asked is None else asked
    if amount > line.amount - before:
        raise CreditTooLarge(left=line.amount - before)
    after = before + amount
    return CreditNoteLine(
        organization_id=note.organization_id,
        id=new_id(),
        credit_note_id=note.id,
        line_id=line.id,
        amount=amount,
        net=_share(line.amount - line.discount, after, line.amount) - net_before,
        tax=_share(line.tax, after, line.amount) - tax_before,
    )


def _share(whole: int, part: int, of: int) -> int:
    """*whole* times part/of, rounded half away from zero; the whole of it at the end."""
    sign = -1 if whole < 0 else 1
    return sign * ((2 * abs(whole) * part + of) // (2 * of))


def _noted(row: CreditNote) -> Noted:
    currency = Currency(row.currency)
    return Noted(
        id=row.id,
        invoice_id=row.invoice_id,
        number=row.number,
        kind=NoteKind(row.kind),
        settlement=Settlement(row.settlement),
        reason=row.reason,
        net=Money(row.net, currency),
        tax=Money(row.tax, currency),
        total=Money(row.total, currency),
        issued_at=row.issued_at,
    )
