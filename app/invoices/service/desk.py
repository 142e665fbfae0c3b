"""What operators do with an invoice of our own: make it, void it, note that it was paid."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices import domain
from app.invoices.domain import CreditLedger, DiscountBook, InvoiceStatus
from app.invoices.errors import (
    InvoiceAlreadyPaid,
    InvoiceNotIssued,
    InvoiceSettled,
    PaymentMismatch,
    PaymentNoted,
    PaymentNotYetReceived,
)
from app.invoices.models import Invoice, InvoicePayment
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.issuing import InvoiceIssuing
from app.invoices.service.reading import InvoiceService
from app.invoices.service.terms import WindowTerms
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.periods import Period

_AHEAD = timedelta(days=1)
"""Clocks differ, and a bank's day may have begun."""

OPEN = (InvoiceStatus.OPEN.value, InvoiceStatus.UNCOLLECTIBLE.value)
"""States in which money is still owed."""


class InvoiceDesk:
    """Each step can be repeated; what cannot be is refused by the state of the invoice."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceService,
        own: OwnInvoiceRepository,
        terms: WindowTerms,
        issuing: InvoiceIssuing,
        credits: CreditLedger,
        discounts: DiscountBook,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._own = own
        self._terms = terms
        self._issuing = issuing
        self._credits = credits
        self._discounts = discounts
        self._audit = audit
        self._clock = clock

    async def generate(
        self, organization_id: OrganizationId, month: Period, tax_rate: Decimal | None
    ) -> domain.Invoice:
        """The draft of the window that starts in *month*, with its usage as of now.

        Asking again brings it up to date. Raises `WindowIssued`, `UsageUnpriced`,
        `OrganizationNotFound`.
        """
        async with self._work.begin(organization_id):
            terms = await self._terms.asked_for(organization_id, month)
            invoice_id = await self._issuing.draft(organization_id, terms, tax_rate=tax_rate)
            if invoice_id is None:
                raise LookupError("a kept draft has an id")
            self._audit.record(
                "invoices.generated",
                encode_id("inv", invoice_id),
                organization_id=organization_id,
                after={"period_start": terms.period.start, "period_end": terms.period.end},
            )
            return await self._invoices.get(organization_id, invoice_id)

    async def finalize(self, invoice_id: UUID) -> domain.Invoice:
        """Issue a draft. An issued one is answered as it is. Raises `WindowNotBegun`."""
        owner = await self._owner(invoice_id)
        async with self._work.begin(owner):
            await self._issuing.finalize(owner, invoice_id)
            return await self._invoices.get(owner, invoice_id)

    async def void(self, invoice_id: UUID, reason: str | None) -> domain.Invoice:
        """Declare that nothing is owed: credit goes back, its window may be billed again.

        A void one stays void. Raises `InvoiceSettled` once money came in or was credited.
        """
        owner = await self._owner(invoice_id)
        async with self._work.begin(owner):
            # An issue that goes on has read what this one billed, and remembers its windows.
            await self._own.lock(owner)
            invoice, own = await self._own.claim(owner, invoice_id)
            if invoice.status != InvoiceStatus.VOID.value:
                credited = bool(await self._own.credit_notes(owner, invoice_id))
                if invoice.status == InvoiceStatus.PAID.value or invoice.amount_paid or credited:
                    raise InvoiceSettled(status=invoice.status)
                before = invoice.status
                invoice.status = InvoiceStatus.VOID.value
                invoice.voided_at = self._clock.now()
                own.creditable = 0
                await self._own.look_again(
                    owner,
                    [
                        line.window_start
                        for line in await self._own.lines(owner, invoice_id)
                        if line.window_start is not None
                    ],
                )
                self._stop_collecting(owner, invoice_id)
                if own.credit_applied:
                    await self._credits.give_back(owner, invoice_id)
                if own.discounts:
                    await self._discounts.release(owner, invoice_id)
                self._audit.record(
                    "invoices.voided",
                    encode_id("inv", invoice_id),
                    organization_id=owner,
                    before={"status": before},
                    reason=reason,
                )
            await self._own.session.flush()
            return await self._invoices.get(owner, invoice_id)

    async def mark_paid(
        self,
        invoice_id: UUID,
        amount: int | None,
        reference: str | None,
        received_at: datetime | None,
    ) -> domain.Invoice:
        """Note money that came by transfer, by default all that is owed; a part leaves the rest.

        On a paid invoice a repeat is answered as it is: one that names no payment, or the same
        reference, and amount where it gives one, as a transfer that was noted. Raises
        `InvoiceAlreadyPaid` for any other, `InvoiceNotIssued`, `PaymentMismatch` for more than is
        owed, `PaymentNoted` for a part that was noted with its reference, and
        `PaymentNotYetReceived`.
        """
        owner = await self._owner(invoice_id)
        async with self._work.begin(owner):
            invoice, _ = await self._own.claim(owner, invoice_id)
            if invoice.status == InvoiceStatus.PAID.value:
                names_one = amount is not None or reference is not None
                if names_one and not await self._transfers(owner, invoice_id, amount, reference):
                    raise InvoiceAlreadyPaid
            else:
                if invoice.status not in OPEN:
                    raise InvoiceNotIssued(status=invoice.status)
                if amount is not None and reference is not None:
                    for one in await self._transfers(owner, invoice_id, amount, reference):
                        # Two parts alike are told apart by when they were received.
                        if received_at in (None, one.received_at):
                            raise PaymentNoted(received_at=one.received_at.isoformat())
                if received_at is not None and received_at > self._clock.now() + _AHEAD:
                    raise PaymentNotYetReceived
                paid = invoice.amount_remaining if amount is None else amount
                if paid > invoice.amount_remaining:
                    raise PaymentMismatch(
                        reason="more than is owed", due=invoice.amount_remaining, amount=paid
                    )
                self.take(invoice, "transfer", paid, reference, received_at or self._clock.now())
                self._stop_collecting(owner, invoice_id)
                self._audit.record(
                    "invoices.paid",
                    encode_id("inv", invoice_id),
                    organization_id=owner,
                    after={"amount": paid, "reference": reference},
                )
            await self._own.session.flush()
            return await self._invoices.get(owner, invoice_id)

    async def _transfers(
        self,
        owner: OrganizationId,
        invoice_id: UUID,
        amount: int | None,
        reference: str | None,
    ) -> list[InvoicePayment]:
        """Those that were noted with *reference*, and *amount* where it is given."""
        return [
            one
            for one in await self._own.payments(owner, invoice_id)
            if one.method == "transfer"
            and one.reference == reference
            and amount in (None, one.amount)
        ]

    def take(
        self,
        invoice: Invoice,
        method: str,
        amount: int,
        reference: str | None,
        received_at: datetime,
    ) -> None:
        """Put money on a claimed invoice; joins the caller's unit."""
        self._own.add(
            InvoicePayment(
                organization_id=invoice.organization_id,
                id=new_id(),
                invoice_id=invoice.id,
                method=method,
                amount=amount,
                reference=reference,
                received_at=received_at,
            )
        )
        invoice.amount_paid += amount
        invoice.amount_remaining -= amount
        if not invoice.amount_remaining:
            self._issuing.paid(invoice)

    def _stop_collecting(self, owner: OrganizationId, invoice_id: UUID) -> None:
        self._work.enqueue(
            "invoices.stop_collecting", {"organization_id": owner, "invoice_id": invoice_id}
        )

    async def _owner(self, invoice_id: UUID) -> OrganizationId:
        async with self._work.begin_platform():
            return await self._own.owner_for_operators(invoice_id)
