"""Invoices of our own from draft to issued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Party, party_to_json
from app.invoices.domain import ROUNDING, CreditLedger, DiscountBook, InvoiceOrigin, InvoiceStatus
from app.invoices.errors import WindowIssued, WindowNotBegun
from app.invoices.events import InvoiceIssued, InvoicePaid
from app.invoices.models import BilledWindow, Invoice, InvoiceProof, OwnInvoice
from app.invoices.repository.documents import DocumentRepository
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.repository.own import USAGE, OwnInvoiceRepository
from app.invoices.service.composing import (
    Composed,
    Composer,
    discounts_of,
    figures_of,
    lines_of,
    taxes_of,
)
from app.invoices.service.proving import InvoiceProofs
from app.invoices.service.rating import Bill, Terms, WindowRating
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Money
from app.kernel.periods import Period


@dataclass(frozen=True, slots=True)
class Dates:
    """How long an invoice stays a draft after its window, and how long customers may take."""

    grace: timedelta
    due: timedelta


class InvoiceIssuing:
    """Drafts are worked out anew as often as wanted; an issued invoice is never changed."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceRepository,
        own: OwnInvoiceRepository,
        documents: DocumentRepository,
        rating: WindowRating,
        composer: Composer,
        proofs: InvoiceProofs,
        credits: CreditLedger,
        discounts: DiscountBook,
        audit: AuditLog,
        clock: Clock,
        seller: Party,
        dates: Dates,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._own = own
        self._documents = documents
        self._rating = rating
        self._composer = composer
        self._proofs = proofs
        self._credits = credits
        self._discounts = discounts
        self._audit = audit
        self._clock = clock
        self._seller = seller
        self._dates = dates

    async def draft(
        self,
        organization_id: OrganizationId,
        terms: Terms,
        *,
        tax_rate: Decimal | None = None,
        keep_empty: bool = True,
    ) -> UUID | None:
        """The draft of a window, with its usage as of now; one that exists is brought up to date.

        Unless *keep_empty*, a window that asks for nothing gets none. Raises `WindowIssued` when
        the window's invoice left the draft, and what `WindowRating` raises.
        """
        async with self._work.begin(organization_id):
            bill = await self._rating.rate(organization_id, terms)
            if not bill.lines and not keep_empty:
                return None
            invoice, own, composed = await self._compose(organization_id, bill, tax_rate)
            lines = lines_of(organization_id, invoice.id, composed)
            if await self._documents.add_unless_billed(organization_id, invoice, own, lines):
                return invoice.id
            found = await self._own.find_of_window(organization_id, terms.period.start)
            if found is None:
                raise LookupError("an invoice that was in the way is gone")
            invoice, own = await self._own.claim(organization_id, found.id)
            if invoice.status != InvoiceStatus.DRAFT.value:
                raise WindowIssued(invoice=encode_id("inv", invoice.id))
            own.tax_rate = tax_rate
            _agree(invoice, own, bill.terms)
            own.finalize_after = bill.terms.period.end + self._dates.grace
            self._write(invoice, own, composed, Money.zero(bill.currency))
            await self._invoices.replace_lines(
                organization_id, invoice.id, lines_of(organization_id, invoice.id, composed)
            )
            return invoice.id

    async def issue(self, organization_id: OrganizationId, terms: Terms) -> UUID | None:
        """The invoice of a window that has none, issued at once; None if it asks for nothing.

        Raises `WindowIssued` when somebody else was quicker, be it with a draft, and what
        `WindowRating` raises.
        """
        async with self._work.begin(organization_id):
            await self._own.lock(organization_id)
            bill = await self._rating.rate(organization_id, terms, proving=True)
            if not bill.lines:
                await self._documents.remember_windows(organization_id, self._settled(bill))
                return None
            invoice, own, composed = await self._compose(organization_id, bill, None)
            proof = await self._issue(organization_id, invoice, own, composed)
            # Nobody holds the window's index and waits for the number: who issues has the lock.
            if not await self._documents.add_unless_billed(
                organization_id,
                invoice,
                own,
                lines_of(organization_id, invoice.id, composed),
                self._settled(bill),
                proof,
            ):
                raise WindowIssued
            return invoice.id

    async def finalize(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Issue a draft: the usage as of now, discounts and credit used up, the next number taken.

        An issued one is left as it is. Nothing left to pay is paid. Raises `InvoiceNotFound`,
        `WindowNotBegun` and what `WindowRating` raises; then the draft stays.
        """
        async with self._work.begin(organization_id):
            # Two windows of one organization would both settle what an earlier one left over.
            await self._own.lock(organization_id)
            invoice, own = await self._own.claim(organization_id, invoice_id)
            if invoice.status != InvoiceStatus.DRAFT.value:
                return
            terms = terms_of(invoice, own)
            if terms.period.start > self._clock.now():
                raise WindowNotBegun(begins=terms.period.start.isoformat())
            bill = await self._rating.rate(organization_id, terms, proving=True)
            composed = await self._composer.compose(organization_id, invoice_id, bill, own.tax_rate)
            await self._invoices.replace_lines(
                organization_id, invoice.id, lines_of(organization_id, invoice.id, composed)
            )
            await self._documents.remember_windows(organization_id, self._settled(bill))
            proof = await self._issue(organization_id, invoice, own, composed)
            await self._proofs.keep(organization_id, proof)

    async def _compose(
        self, organization_id: OrganizationId, bill: Bill, tax_rate: Decimal | None
    ) -> tuple[Invoice, OwnInvoice, Composed]:
        """The rows of a new draft, which no session knows."""
        invoice_id = new_id()
        composed = await self._composer.compose(organization_id, invoice_id, bill, tax_rate)
        invoice = Invoice(
            organization_id=organization_id,
            id=invoice_id,
            origin=InvoiceOrigin.OWN.value,
            status=InvoiceStatus.DRAFT.value,
            billing_reason=USAGE,
            currency=str(bill.currency),
            created_at=self._clock.now(),
            attempt_count=0,
        )
        own = OwnInvoice(
            organization_id=organization_id,
            id=invoice_id,
            rounding=ROUNDING,
            tax_rate=tax_rate,
            finalize_after=bill.terms.period.end + self._dates.grace,
            credit_applied=0,
            credit_entries=[],
            creditable=0,
        )
        _agree(invoice, own, bill.terms)
        self._write(invoice, own, composed, Money.zero(bill.currency))
        return invoice, own, composed

    async def _issue(
        self,
        organization_id: OrganizationId,
        invoice: Invoice,
        own: OwnInvoice,
        composed: Composed,
    ) -> InvoiceProof:
        """Bring the rows, stored or not, to what is issued now, and do what goes with that; its
        proof, not stored yet."""
        now = self._clock.now()
        total = composed.totals.total
        if composed.totals.discounts:
            await self._discounts.redeem(organization_id, invoice.id, composed.totals.discounts)
        drawn = await self._credits.apply(organization_id, invoice.id, total) if total else ()
        credit = sum((one.amount for one in drawn), Money.zero(total.currency))
        self._write(invoice, own, composed, credit)
        own.credit_applied = credit.minor
        own.credit_entries = [
            {"entry": str(one.entry_id), "grant": str(one.grant_id), "amount": one.amount.minor}
            for one in drawn
        ]
        own.creditable = total.minor
        invoice.status = InvoiceStatus.OPEN.value
        invoice.issued_at = now
        invoice.due_at = now + self._dates.due
        self._work.announce(InvoiceIssued(organization_id, invoice.id))
        if not invoice.amount_remaining:
            self.paid(invoice)
        self._audit.record(
            "invoices.issued",
            encode_id("inv", invoice.id),
            organization_id=organization_id,
            after={"total": invoice.total, "amount_due": invoice.amount_due},
        )
        # Last, because whoever issues next waits for the number until this commits.
        return await self._proofs.seal(organization_id, invoice, composed, drawn, self._seller)

    def _settled(self, bill: Bill) -> tuple[BilledWindow, ...]:
        for window in bill.windows:
            window.rated_at = self._clock.now()
        return bill.windows

    def paid(self, invoice: Invoice) -> None:
        """Nothing is left to pay of a claimed invoice; joins the unit that made it so."""
        invoice.status = InvoiceStatus.PAID.value
        invoice.paid_at = self._clock.now()
        self._work.announce(
            InvoicePaid(
                organization_id=invoice.organization_id,
                invoice_id=invoice.id,
                billing_reason=invoice.billing_reason,
                amount_paid=invoice.amount_paid,
                currency=invoice.currency,
            )
        )

    def _write(self, invoice: Invoice, own: OwnInvoice, composed: Composed, credit: Money) -> None:
        """Bring the rows of a draft to what was composed."""
        figures = figures_of(composed, credit)
        for name, value in figures.items():
            setattr(invoice, name, value)
        invoice.seller = party_to_json(self._seller)
        invoice.customer = party_to_json(composed.customer)
        invoice.recorded_at = self._clock.now()
        for name, value in _shown(composed).items():
            setattr(own, name, value)


def _agree(invoice: Invoice, own: OwnInvoice, terms: Terms) -> None:
    """Note under which terms a draft is made: what it shows is what is issued."""
    invoice.period_start, invoice.period_end = terms.period.start, terms.period.end
    own.plan, own.catalog_version = terms.plan, terms.catalog_version
    own.with_fee, own.at_cost = terms.with_fee, terms.at_cost


def terms_of(invoice: Invoice, own: OwnInvoice) -> Terms:
    """Under which terms a draft was made."""
    assert invoice.period_start is not None and invoice.period_end is not None  # noqa: PT018
    return Terms(
        Period(invoice.period_start, invoice.period_end),
        own.plan,
        own.catalog_version,
        own.with_fee,
        own.at_cost,
    )


def _shown(composed: Composed) -> dict[str, Any]:
    return {
        "taxes": taxes_of(composed),
        "discounts": discounts_of(composed.totals.discounts),
        "notes": list(composed.taxation.notes),
        "collection": composed.collection,
        "given_plan": composed.bill.given_plan,
    }
