"""Keeping what Stripe issued, whatever order it is told in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from app.credits.service.top_ups import TopUpDesk
from app.gateways.stripe.collection import BILLING_INVOICE
from app.gateways.stripe.credit_notes import StripeCreditNote
from app.gateways.stripe.gateway import StripeInvoice, StripeInvoiceLine
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Party, party_to_json
from app.invoices.domain import DiscountBook, InvoiceOrigin, InvoiceStatus, Progress
from app.invoices.events import InvoiceIssued, InvoicePaid
from app.invoices.models import Invoice, InvoiceLine
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.repository.stripe_notes import StripeNoteRepository
from app.invoices.service.collecting import InvoiceCollecting
from app.kernel.clock import Clock
from app.kernel.ids import MalformedId, OrganizationId, decode_id, id_at, new_id
from app.organizations.service import OrganizationService

NOTE_DISCOUNT_JOB = "invoices.note_discount"
_PAGES_ARE_HEARD_OF = timedelta(minutes=10)

log = structlog.get_logger(__name__)


class InvoiceMirror:
    """Copies Stripe's invoices. What counts is how far an invoice had come, not when it is told."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceRepository,
        organizations: OrganizationService,
        seller: Party,
        clock: Clock,
        collecting: InvoiceCollecting,
        top_ups: TopUpDesk,
        discounts: DiscountBook,
    ) -> None:
        self._collecting = collecting
        self._top_ups = top_ups
        self._discounts = discounts
        self._notes = StripeNoteRepository(work)
        self._work = work
        self._invoices = invoices
        self._organizations = organizations
        self._seller = seller
        self._clock = clock

    async def record(
        self,
        organization_id: OrganizationId,
        invoice: StripeInvoice,
        *,
        failed_at: datetime | None = None,
        asks_action: bool = False,
        ticket: int | None = None,
        notes: Sequence[StripeCreditNote] = (),
    ) -> InvoiceStatus | None:
        """Take *invoice* as it stands, unless we know it further along; the status known then.

        Joins the caller's unit. Repeating changes nothing; that it was issued or paid is
        announced once. Who sold and who bought is fixed when it leaves the draft, so that a later
        change of name does not rewrite an issued document. One that collects an invoice of ours,
        or a top-up, is told to that and makes no document. Of two looks that found it equally far
        the one with the later *ticket* counts: a credit note, or its end, changes only amounts.
        *notes* are its credit notes, as far as they were asked for. A preview, which has no id, and a
        state that Stripe invented since are left out, and nothing is known of them.
        """
        if invoice.id is None or invoice.status not in set(InvoiceStatus):
            log.warning("invoices.not_mirrored", id=invoice.id, status=invoice.status)
            return None
        status = InvoiceStatus(invoice.status)
        if (collects := _collected(invoice)) is not None:
            await self._collecting.take(
                organization_id, collects, invoice, failed_at=failed_at, asks_action=asks_action
            )
            return None
        if await self._top_ups.take_collected(organization_id, invoice):
            return None
        async with self._work.begin(organization_id):
            figures: dict[str, Any] = {
                **_figures(invoice, status),
                "recorded_at": self._clock.now(),
                "applied_ticket": ticket,
            }
            row = Invoice(
                organization_id=organization_id,
                id=id_at(invoice.created_at),
                origin=InvoiceOrigin.STRIPE.value,
                stripe_invoice_id=invoice.id,
                seller=party_to_json(self._seller),
                customer=party_to_json(await self._customer(organization_id, invoice)),
                **figures,
            )
            known: InvoiceStatus | None = None
            if not await self._invoices.add_unless_mirrored(organization_id, row):
                parties = {"seller": row.seller, "customer": row.customer}
                row = await self._invoices.claim_mirrored(organization_id, invoice.id)
                known = row.progress.status
                await self._note(organization_id, row, notes)
                seen = Progress(status, invoice.attempt_count, invoice.amount_paid)
                is_late = seen == row.progress and (ticket or 0) < (row.applied_ticket or 0)
                if is_late or not row.progress.gives_way_to(seen):
                    return known
                figures["applied_ticket"] = max(ticket or 0, row.applied_ticket or 0) or None
                if known is InvoiceStatus.DRAFT:
                    figures |= parties
                for name, value in figures.items():
                    setattr(row, name, value)
            await self._invoices.replace_lines(
                organization_id,
                row.id,
                [_line(row, n, line) for n, line in enumerate(invoice.lines)],
            )
            if known is None:
                await self._note(organization_id, row, notes)
            self._announce(row, known, status)
            return status

    async def _note(
        self, organization_id: OrganizationId, row: Invoice, notes: Sequence[StripeCreditNote]
    ) -> None:
        for note in notes:
            await self._notes.put(organization_id, _note_values(row, note))

    async def note_discount(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Tell whoever keeps discounts what a paid invoice took off. Repeats change nothing."""
        async with self._work.begin(organization_id):
            invoice = await self._invoices.get(organization_id, invoice_id)
            if invoice.discount:
                await self._discounts.note_elsewhere(organization_id, invoice_id, invoice.discount)

    def _announce(self, row: Invoice, known: InvoiceStatus | None, now: InvoiceStatus) -> None:
        was_issued = known not in (None, InvoiceStatus.DRAFT)
        if not was_issued and now in {InvoiceStatus.OPEN, InvoiceStatus.PAID}:
            self._work.announce(InvoiceIssued(row.organization_id, row.id))
        if now is InvoiceStatus.PAID and known is not InvoiceStatus.PAID:
            if row.discount:
                # A code that was typed on Stripe's page is heard of with the page, perhaps later.
                self._work.enqueue(
                    NOTE_DISCOUNT_JOB,
                    {"organization_id": row.organization_id, "invoice_id": row.id},
                    dedupe_key=f"{NOTE_DISCOUNT_JOB}:{row.id}",
                    due_at=self._clock.now() + _PAGES_ARE_HEARD_OF,
                )
            self._work.announce(
                InvoicePaid(
                    organization_id=row.organization_id,
                    invoice_id=row.id,
                    billing_reason=row.billing_reason,
                    amount_paid=row.amount_paid,
                    currency=row.currency,
                )
            )

    async def _customer(self, organization_id: OrganizationId, invoice: StripeInvoice) -> Party:
        buyer = invoice.buyer
        return Party(
            # The name that was given for paying; the organization's own where none was.
            name=buyer.name or (await self._organizations.get(organization_id)).name,
            address=buyer.address,
            email=buyer.email,
            tax_id=", ".join(buyer.tax_ids) or None,
        )


def _collected(invoice: StripeInvoice) -> UUID | None:
    """The invoice of ours that this one only collects."""
    try:
        return decode_id("inv", invoice.metadata.get(BILLING_INVOICE, ""))
    except MalformedId:
        return None


def _figures(invoice: StripeInvoice, status: InvoiceStatus) -> dict[str, Any]:
    period = invoice.period
    return {
        "stripe_subscription_id": invoice.subscription_id,
        "number": invoice.number,
        "status": status.value,
        "billing_reason": invoice.billing_reason,
        "currency": invoice.currency,
        "subtotal": invoice.subtotal,
        "discount": invoice.discount,
        "mirrored_discounts": [
            {
                "name": one.name,
                "percent": str(one.percent) if one.percent is not None else None,
                "amount": one.amount,
            }
            for one in invoice.discounts
        ],
        "tax": invoice.tax,
        "total": invoice.total,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "period_start": period.start if period else None,
        "period_end": period.end if period else None,
        "created_at": invoice.created_at,
        "issued_at": invoice.finalized_at,
        "due_at": invoice.due_at,
        "paid_at": invoice.paid_at,
        "voided_at": invoice.voided_at,
        "attempt_count": invoice.attempt_count,
        "next_attempt_at": invoice.next_attempt_at,
        "hosted_invoice_url": invoice.hosted_url,
        "credited_before": invoice.credited_before,
    }


def _note_values(row: Invoice, note: StripeCreditNote) -> dict[str, Any]:
    return {
        "id": id_at(note.issued_at),
        "invoice_id": row.id,
        "stripe_credit_note_id": note.id,
        "number": note.number,
        "reason": note.reason,
        "memo": note.memo,
        "currency": note.currency,
        "total": note.total,
        "tax": note.tax,
        "before_payment": note.before_payment,
        "to_balance": note.after_payment - note.by_hand - sum(amount for _, amount in note.refunds),
        "by_hand": note.by_hand,
        "refunds": [{"refund": refund, "amount": amount} for refund, amount in note.refunds],
        "lines": [
            {
                "line": line.invoice_line_id,
                "description": line.description,
                "amount": line.amount,
                "discount": line.discount,
                "tax": line.tax,
            }
            for line in note.lines
        ],
        "issued_at": note.issued_at,
        "voided_at": note.voided_at,
    }


def _line(row: Invoice, position: int, line: StripeInvoiceLine) -> InvoiceLine:
    return InvoiceLine(
        organization_id=row.organization_id,
        id=new_id(),
        invoice_id=row.id,
        position=position,
        stripe_line_id=line.id,
        description=line.description,
        quantity=line.quantity,
        amount=line.amount,
        period_start=line.period.start if line.period else None,
        period_end=line.period.end if line.period else None,
        is_proration=line.is_proration,
    )
