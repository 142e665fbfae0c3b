"""What became of invoices after they were issued: credit notes, and money that went back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import Invoice, Noted, PaymentBook, RefundWay, TakenIn
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.notes import NoteRepository
from app.kernel.ids import OrganizationId


class Aftermath:
    """Reads it beside the invoices. An issued invoice says none of it, and stays as it is."""

    def __init__(
        self,
        work: UnitOfWork,
        notes: NoteRepository,
        collections: CollectionRepository,
        payments: PaymentBook,
    ) -> None:
        self._work = work
        self._notes = notes
        self._collections = collections
        self._payments = payments

    async def of(
        self, organization_id: OrganizationId, invoices: Sequence[Invoice]
    ) -> list[Invoice]:
        """The same invoices with their credit notes and what was refunded; joins the unit."""
        async with self._work.begin(organization_id):
            ids = [invoice.id for invoice in invoices]
            notes = await self._notes.of_invoices(organization_id, ids)
            taken = await self.taken_in(organization_id, invoices)
            return [
                replace(
                    invoice,
                    credit_notes=tuple(notes.get(invoice.id, ())),
                    refunded=_by_hand(notes.get(invoice.id, ()))
                    + (taken[invoice.id].refunded if invoice.id in taken else 0),
                )
                for invoice in invoices
            ]

    async def taken_in(
        self, organization_id: OrganizationId, invoices: Sequence[Invoice]
    ) -> dict[UUID, TakenIn]:
        """What Stripe took in for these invoices, whichever of its invoices collected it."""
        async with self._work.begin(organization_id):
            own = [invoice.id for invoice in invoices if invoice.own is not None]
            at_stripe = {
                invoice.id: invoice.stripe_invoice_id
                for invoice in invoices
                if invoice.stripe_invoice_id is not None
            } | await self._collections.at_stripe(organization_id, own)
            found = await self._payments.of_invoices(organization_id, at_stripe.values())
            return {
                invoice_id: found[stripe_id]
                for invoice_id, stripe_id in at_stripe.items()
                if stripe_id in found
            }


def _by_hand(notes: Sequence[Noted]) -> int:
    return sum(
        (note.by_hand or note.total).minor
        for note in notes
        if note.by_hand
        or (
            note.by_hand is None
            and note.refund is not None
            and note.refund.way is RefundWay.TRANSFER
            and note.refund.state.has_left
        )
    )
