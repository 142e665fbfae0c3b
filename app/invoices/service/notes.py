"""Credit notes that were issued: looked up, printed, and what becomes of their refunds."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import Noted, PromisedRefund, RefundState, RefundWay
from app.invoices.errors import CreditTooLarge, NoRefundPromised
from app.invoices.events import PromiseBroken
from app.invoices.html import Pages
from app.invoices.models_notes import CreditNote
from app.invoices.paper import credit_note_paper
from app.invoices.pdf import Press
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.notes import NoteRepository
from app.invoices.service.reading import Printed
from app.invoices.service.returning import MoneyLeft
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.pages import Page, PageRequest


class IssuedNotes:
    """What a customer and an operator may see of credit notes."""

    def __init__(self, work: UnitOfWork, notes: NoteRepository, press: Press, pages: Pages) -> None:
        self._work = work
        self._notes = notes
        self._press = press
        self._pages = pages

    async def get(self, organization_id: OrganizationId, note_id: UUID) -> Noted:
        """Raises `CreditNoteNotFound`, also for another organization's."""
        async with self._work.begin(organization_id):
            return await self._notes.get(organization_id, note_id)

    async def list(self, organization_id: OrganizationId, request: PageRequest) -> Page[Noted]:
        """An organization's notes, newest first."""
        async with self._work.begin(organization_id):
            return await self._notes.list_for_organization(organization_id, request)

    async def list_for_operators(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None,
        refund: RefundState | None,
    ) -> Page[Noted]:
        """Everybody's, or one organization's; those whose refund has come so far."""
        async with self._work.begin_platform():
            return await self._notes.list_for_operators(request, organization_id, refund)

    async def print_pdf(self, organization_id: OrganizationId, note_id: UUID) -> Printed:
        paper = credit_note_paper(await self.get(organization_id, note_id))
        return Printed(paper.number, await paper.print(self._press))

    async def print_html(self, organization_id: OrganizationId, note_id: UUID) -> str:
        return credit_note_paper(await self.get(organization_id, note_id)).page(self._pages)


class NotePromises:
    """Keeps what became of the refunds that credit notes promised. A repeat changes nothing."""

    def __init__(
        self,
        work: UnitOfWork,
        notes: NoteRepository,
        collections: CollectionRepository,
        money: MoneyLeft,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._notes = notes
        self._collections = collections
        self._money = money
        self._audit = audit
        self._clock = clock

    async def find(self, organization_id: OrganizationId, note_id: UUID) -> PromisedRefund | None:
        """What Stripe is still to be asked for; None where nothing waits for it."""
        async with self._work.begin(organization_id):
            note = await self._notes.claim(organization_id, note_id)
            if note is None or not _waits(note):
                return None
            asked = await self._collections.at_stripe(organization_id, [note.invoice_id])
            if note.invoice_id not in asked:
                return None
            return PromisedRefund(
                note_id=note.id,
                number=note.number,
                amount=note.total,
                stripe_invoice_id=asked[note.invoice_id],
            )

    async def due(self, limit: int) -> list[tuple[OrganizationId, UUID]]:
        """Notes of whichever organization that wait for Stripe, the oldest first."""
        async with self._work.begin_platform():
            return await self._notes.list_promised_due(limit)

    async def take(
        self,
        organization_id: OrganizationId,
        note_id: UUID,
        state: RefundState,
        *,
        at: datetime | None = None,
        failure: str | None = None,
    ) -> None:
        """What Stripe did about a note's refund; whose id belongs to no note is no refund of one.

        What fails is announced once, for operators: the promise stands and is kept by hand.
        """
        async with self._work.begin(organization_id):
            note = await self._notes.claim(organization_id, note_id)
            if note is None or note.refund_way != RefundWay.STRIPE.value:
                return
            if note.refund_state == state.value:
                return
            note.refund_state = state.value
            note.refunded_at = (at or self._clock.now()) if state.has_left else None
            note.refund_failure = failure if state is RefundState.FAILED else None
            if state is RefundState.FAILED:
                self._work.announce(
                    PromiseBroken(
                        organization_id=organization_id,
                        credit_note_id=note_id,
                        number=note.number,
                        amount=note.total,
                        currency=note.currency,
                        reason=failure or "",
                    )
                )

    async def sent(self, note_id: UUID, reference: str) -> Noted:
        """Note that a refund was sent by hand, also one that Stripe could not make.

        The same reference again is answered as it is. Raises `NoRefundPromised` where no money
        waits to be sent, `CreditTooLarge` where more would go back than was paid, because it was
        refunded another way meanwhile, `CreditNoteNotFound`.
        """
        async with self._work.begin_platform():
            owner = await self._notes.owner_for_operators(note_id)
        async with self._work.begin(owner):
            note = await self._notes.claim(owner, note_id)
            assert note is not None
            if note.refund_reference != reference or note.refund_state != RefundState.MADE.value:
                if not _may_be_sent(note):
                    raise NoRefundPromised(refund=note.refund_state or "no refund")
                left = await self._money.of_invoice(owner, note.invoice_id, but_for=note_id)
                if note.total > left:
                    raise CreditTooLarge(left=left)
                note.refund_way = RefundWay.TRANSFER.value
                note.refund_state = RefundState.MADE.value
                note.refund_reference = reference
                note.refund_failure = None
                note.refunded_at = self._clock.now()
                self._audit.record(
                    "invoices.refund_sent",
                    encode_id("crn", note_id),
                    organization_id=owner,
                    after={"amount": note.total, "reference": reference},
                )
                await self._notes.session.flush()
            return await self._notes.get(owner, note_id)


def _waits(note: CreditNote) -> bool:
    return (
        note.refund_way == RefundWay.STRIPE.value
        and note.refund_state == RefundState.REQUESTED.value
    )


def _may_be_sent(note: CreditNote) -> bool:
    """By hand: a transfer that waits, or what Stripe could not send."""
    if note.refund_way == RefundWay.TRANSFER.value:
        return note.refund_state == RefundState.REQUESTED.value
    return note.refund_state == RefundState.FAILED.value
