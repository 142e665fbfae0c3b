"""Receipts: what was paid on an invoice, when and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Labels, date_text, figure_text, settled_words
from app.invoices.domain import Invoice, PaymentMade, Settlement
from app.invoices.errors import InvoiceNotPaid
from app.invoices.html import Pages
from app.invoices.models import InvoicePayment
from app.invoices.paper import Listing, Paper, Row
from app.invoices.pdf import Press
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.aftermath import Aftermath
from app.invoices.service.reading import InvoiceService, Printed
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.money import Money

_METHODS = {"stripe": "Card or account, through Stripe", "transfer": "Bank transfer"}


@dataclass(frozen=True, slots=True)
class _Part:
    """One way in which a part of the invoice was settled."""

    how: str
    reference: str | None
    at: datetime | None
    amount: int
    is_payment: bool = False

    @property
    def is_reduction(self) -> bool:
        """Whether no money was paid for it."""
        return not self.is_payment and self.amount > 0


class Receipts:
    """Of paid invoices of either origin. What went back later is not on a receipt."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceService,
        aftermath: Aftermath,
        own: OwnInvoiceRepository,
        press: Press,
        pages: Pages,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._aftermath = aftermath
        self._own = own
        self._press = press
        self._pages = pages

    async def print_pdf(self, organization_id: OrganizationId, invoice_id: UUID) -> Printed:
        """Raises `InvoiceNotPaid`, `InvoiceNotFound`."""
        paper = await self._paper(organization_id, invoice_id)
        return Printed(paper.number, await paper.print(self._press))

    async def print_html(self, organization_id: OrganizationId, invoice_id: UUID) -> str:
        """As `print_pdf`."""
        return (await self._paper(organization_id, invoice_id)).page(self._pages)

    async def _paper(self, organization_id: OrganizationId, invoice_id: UUID) -> Paper:
        async with self._work.begin(organization_id):
            invoice = await self._invoices.get(organization_id, invoice_id)
            if not invoice.is_paid:
                raise InvoiceNotPaid(status=invoice.status.value)
            if invoice.own is not None:
                payments = await self._own.payments(organization_id, invoice_id)
                return _receipt(invoice, _own_parts(invoice, payments))
            taken = await self._aftermath.taken_in(organization_id, [invoice])
            known = taken[invoice_id].payments if invoice_id in taken else ()
            return _receipt(invoice, _parts_at_stripe(invoice, known))


def _own_parts(invoice: Invoice, payments: Sequence[InvoicePayment]) -> list[_Part]:
    assert invoice.own is not None
    credit = invoice.own.credit_applied.minor
    drawn = [_Part("Prepaid credit", None, invoice.issued_at, credit)] if credit else []
    return [
        *drawn,
        *(
            _Part(_METHODS[one.method], one.reference, one.received_at, one.amount, is_payment=True)
            for one in payments
        ),
        *(
            _Part("Credit note", note.number, note.issued_at, note.total.minor)
            for note in invoice.credit_notes
            if note.settlement is Settlement.REDUCTION
        ),
    ]


def _parts_at_stripe(invoice: Invoice, known: Sequence[PaymentMade]) -> list[_Part]:
    """By its charges, where those are heard of and make up what was paid; else as one payment."""
    parts: list[_Part] = []
    if balance := invoice.balance_applied.minor:
        parts.append(_Part("Customer balance", None, invoice.issued_at, balance))
    paid = invoice.amount_paid.minor
    if paid and sum(one.amount for one in known) == paid:
        parts += [
            _Part(_METHODS["stripe"], one.reference, one.made_at, one.amount, is_payment=True)
            for one in known
        ]
    elif paid:
        reference = invoice.stripe_invoice_id
        parts.append(_Part(_METHODS["stripe"], reference, invoice.paid_at, paid, is_payment=True))
    if reduced := invoice.reduced.minor:
        # Of one note a part may have come before the payment, and another after it.
        parts.append(_Part("Credit notes", None, None, reduced))
    if adjusted := invoice.adjusted.minor:
        parts.append(_Part("Adjustment", None, invoice.paid_at, adjusted))
    return parts


def _receipt(invoice: Invoice, parts: Sequence[_Part]) -> Paper:
    currency = invoice.total.currency
    number = invoice.number or encode_id("inv", invoice.id)
    settled = Money(sum(part.amount for part in parts), currency)
    headline, headline_amount = settled_words(
        invoice.amount_paid,
        [(part.how, Money(part.amount, currency)) for part in parts if part.is_reduction],
        Labels(),
    )
    facts = [("For invoice", number)]
    if invoice.issued_at is not None:
        facts.append(("Invoice issued", date_text(invoice.issued_at)))
    if invoice.paid_at is not None:
        facts.append(("Paid", date_text(invoice.paid_at)))
    facts.append(("Currency", currency.upper()))
    return Paper(
        kind="Receipt",
        number=number,
        seller=invoice.seller,
        customer=invoice.customer,
        facts=tuple(facts),
        headline=headline,
        headline_amount=headline_amount,
        listings=(
            Listing(
                names=("Paid by", "On", f"Amount ({currency.upper()})"),
                rows=tuple(
                    Row(
                        part.how,
                        part.reference or "",
                        (
                            date_text(part.at) if part.at is not None else "",
                            figure_text(Money(part.amount, currency)),
                        ),
                    )
                    for part in parts
                ),
                sums=(
                    ("Total of the invoice", invoice.total, False),
                    ("Settled", settled, True),
                ),
            ),
        ),
        moment=invoice.paid_at or invoice.created_at,
    )
