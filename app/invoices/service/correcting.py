"""Credit notes: what is taken back of an invoice that was issued."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import (
    CreditLedger,
    InvoiceStatus,
    Noted,
    NoteKind,
    NoteRequest,
    RefundState,
    RefundWay,
    Settlement,
)
from app.invoices.errors import CreditTooLarge, InvoiceNotIssued, NothingToCredit
from app.invoices.events import RefundPromised
from app.invoices.models import Invoice, InvoiceLine
from app.invoices.models_notes import CreditNote, CreditNoteLine
from app.invoices.numbering import OURS, InvoiceNumbers
from app.invoices.repository.notes import NoteRepository
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.desk import OPEN
from app.invoices.service.issuing import InvoiceIssuing
from app.invoices.service.returning import MoneyLeft
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money


class CreditNotes:
    """Never more than the invoice: each line keeps count, and the invoice's row has a floor."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        notes: NoteRepository,
        issuing: InvoiceIssuing,
        numbers: InvoiceNumbers,
        credits: CreditLedger,
        money: MoneyLeft,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._own = own
        self._notes = notes
        self._issuing = issuing
        self._numbers = numbers
        self._credits = credits
        self._money = money
        self._audit = audit
        self._clock = clock

    async def issue(self, invoice_id: UUID, request: NoteRequest) -> Noted:
        """Take back a part of an issued invoice, with the tax on it.

        A refund of what was paid through Stripe is made there by itself, soon after; any other
        is a promise until its reference is given.

        Raises `InvoiceNotIssued`, `NothingToCredit`, and `CreditTooLarge` for more than a line
        has left, than an open invoice still asks for, or, as a refund, than was paid; what was
        refunded without a note is not given back again.
        """
        now = self._clock.now()
        async with self._work.begin_platform():
            owner = await self._own.owner_for_operators(invoice_id)
        async with self._work.begin(owner):
            # As for a void one: an issue that goes on has read what was billed so far.
            await self._own.lock(owner)
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
                refund_failure=None,
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
            left = max(own.creditable - await self._money.directly(owner, invoice_id), 0)
            if note.total > left:
                raise CreditTooLarge(left=left)
            await self._settle(owner, invoice, note, request)
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
            note.number = await self._numbers.take(OURS, now, series="CN")
            self._own.add(note)
            await self._own.session.flush()
            for part in parts:
                self._own.add(part)
            await self._own.session.flush()
            return await self._notes.get(owner, note.id)

    async def _settle(
        self, owner: OrganizationId, invoice: Invoice, note: CreditNote, request: NoteRequest
    ) -> None:
        if invoice.status in OPEN:
            if note.total > invoice.amount_remaining:
                raise CreditTooLarge(left=invoice.amount_remaining)
            note.settlement = Settlement.REDUCTION.value
            note.refund_reference = None
            invoice.amount_remaining -= note.total
            self._work.enqueue(
                "invoices.stop_collecting",
                {"organization_id": owner, "invoice_id": invoice.id},
            )
            if not invoice.amount_remaining:
                self._issuing.paid(invoice)
        elif request.settlement is Settlement.REFUND:
            note.settlement = Settlement.REFUND.value
            await self._promise(owner, invoice, note)
        else:
            note.settlement = Settlement.CREDIT.value
            note.refund_reference = None
            amount = Money(note.total, Currency(note.currency))
            await self._credits.grant_back(owner, note.id, amount)

    async def _promise(self, owner: OrganizationId, invoice: Invoice, note: CreditNote) -> None:
        """Decide which way a refund goes: to where the money came from, if all of it did."""
        left = await self._money.of_invoice(owner, invoice.id)
        if note.total > left:
            raise CreditTooLarge(left=left)
        gone = await self._money.directly(owner, invoice.id) + sum(
            one.total
            for one in await self._own.credit_notes(owner, invoice.id)
            if one.refund_way == RefundWay.STRIPE.value
        )
        at_stripe = await self._own.paid_by(owner, invoice.id, "stripe") - gone
        if note.total <= at_stripe and note.refund_reference is None:
            note.refund_way = RefundWay.STRIPE.value
            note.refund_state = RefundState.REQUESTED.value
            self._work.announce(RefundPromised(owner, note.id))
            return
        note.refund_way = RefundWay.TRANSFER.value
        note.refund_state = RefundState.REQUESTED.value
        if note.refund_reference is not None:
            note.refund_state = RefundState.MADE.value
            note.refunded_at = note.issued_at


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
