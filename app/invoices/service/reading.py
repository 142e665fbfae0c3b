"""Looking invoices up, and printing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import (
    DocumentLine,
    InvoiceDocument,
    Labelled,
    NamedAmount,
    date_text,
    money_text,
)
from app.invoices.domain import Invoice, InvoiceLine, InvoiceStatus, LineKind, Named
from app.invoices.einvoice import factur_x
from app.invoices.errors import EInvoiceUnfit, InvoiceNotIssued
from app.invoices.html import Pages
from app.invoices.pdf import Press
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.service.aftermath import Aftermath
from app.invoices.table import render_csv
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.money import Money
from app.kernel.pages import Page, PageRequest
from app.kernel.rates import plain


@dataclass(frozen=True, slots=True)
class Printed:
    """A file and the number it is named after."""

    number: str
    content: bytes


class InvoiceService:
    """What a customer may see of their invoices, of either origin."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceRepository,
        aftermath: Aftermath,
        press: Press,
        pages: Pages,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._aftermath = aftermath
        self._press = press
        self._pages = pages

    async def get(self, organization_id: OrganizationId, invoice_id: UUID) -> Invoice:
        """Raises `InvoiceNotFound`, also for another organization's."""
        async with self._work.begin(organization_id):
            found = await self._invoices.get(organization_id, invoice_id)
            return (await self._aftermath.of(organization_id, [found]))[0]

    async def find_mirrored(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> Invoice | None:
        """Stripe's invoice as it was last seen, without its lines; None while unheard of."""
        async with self._work.begin(organization_id):
            row = await self._invoices.find_mirrored(organization_id, stripe_invoice_id)
            return row.to_domain([]) if row is not None else None

    async def find_for_operators(self, invoice_id: UUID) -> Invoice | None:
        """An invoice of whichever organization."""
        async with self._work.begin_platform():
            return await self._invoices.find_for_operators(invoice_id)

    async def list(
        self,
        organization_id: OrganizationId,
        request: PageRequest,
        *,
        status: InvoiceStatus | None = None,
    ) -> Page[Invoice]:
        """Invoices by creation, newest first."""
        async with self._work.begin(organization_id):
            page = await self._invoices.list_for_organization(organization_id, request, status)
            return Page(await self._aftermath.of(organization_id, page.items), page.next_cursor)

    async def print_pdf(self, organization_id: OrganizationId, invoice_id: UUID) -> Printed:
        document = document_of(await self.get(organization_id, invoice_id))
        return Printed(document.number, await self._press.invoice(document))

    async def print_einvoice(self, organization_id: OrganizationId, invoice_id: UUID) -> Printed:
        """The PDF as it was issued, with its XML in it (Factur-X, ZUGFeRD).

        Raises `InvoiceNotIssued`, `EInvoiceUnfit`, `EInvoiceIncomplete`.
        """
        document = _issued(await self.get(organization_id, invoice_id))
        return Printed(document.number, await self._press.einvoice(document))

    async def print_xml(self, organization_id: OrganizationId, invoice_id: UUID) -> Printed:
        """The XML alone (EN 16931, CII). Raises as `print_einvoice`."""
        document = _issued(await self.get(organization_id, invoice_id))
        return Printed(document.number, factur_x(document))

    async def print_html(self, organization_id: OrganizationId, invoice_id: UUID) -> str:
        invoice = await self.get(organization_id, invoice_id)
        return page_of(self._pages, invoice)

    async def print_csv(self, organization_id: OrganizationId, invoice_id: UUID) -> Printed:
        document = document_of(await self.get(organization_id, invoice_id))
        return Printed(document.number, render_csv(document).encode())


def page_of(pages: Pages, invoice: Invoice) -> str:
    """The invoice's page, with the way to Stripe's while something is owed there."""
    url = invoice.hosted_invoice_url or ""
    can_be_paid = invoice.still_owed.minor > 0 and url.startswith(("https://", "http://"))
    return pages.invoice(document_of(invoice), _since_issued(invoice), url if can_be_paid else None)


def _since_issued(invoice: Invoice) -> list[Labelled]:
    """Credit notes and refunds: what an issued invoice does not say itself."""
    shown: list[Labelled] = [
        {
            "label": f"Credit note {note.number} of {date_text(note.issued_at)}",
            "value": money_text(note.total),
        }
        for note in invoice.credit_notes
        if note.voided_at is None
    ]
    if invoice.refunded:
        refunded = Money(invoice.refunded, invoice.total.currency)
        shown.append({"label": "Refunded", "value": money_text(refunded)})
        kept = invoice.amount_paid - refunded
        shown.append({"label": "Paid, less refunds", "value": money_text(kept)})
    return shown


def document_of(invoice: Invoice) -> InvoiceDocument:
    """The invoice as its readers see it. A draft has no number yet and goes by its id."""
    own = invoice.own
    return InvoiceDocument(
        number=invoice.number or encode_id("inv", invoice.id),
        status=invoice.status.value,
        seller=invoice.seller,
        customer=invoice.customer,
        lines=tuple(_line(line) for line in invoice.lines),
        subtotal=invoice.subtotal,
        discount=invoice.discount or None,
        tax=invoice.tax,
        total=invoice.total,
        balance=-invoice.balance_applied,
        reduced=invoice.reduced,
        adjusted=invoice.adjusted,
        credit=own.credit_applied if own is not None else None,
        taxes=_shares(own.taxes) if own is not None else (),
        discounts=_shares(invoice.discounts, already_percent=True),
        notes=own.notes if own is not None else (),
        amount_paid=invoice.amount_paid,
        amount_due=invoice.still_owed,
        created_at=invoice.created_at,
        issued_at=invoice.issued_at,
        due_at=invoice.due_at,
        paid_at=invoice.paid_at,
        period=invoice.period,
        reference=invoice.stripe_invoice_id,
    )


def _issued(invoice: Invoice) -> InvoiceDocument:
    if invoice.own is None:
        raise EInvoiceUnfit(why="Stripe issued it")
    if invoice.status in {InvoiceStatus.DRAFT, InvoiceStatus.VOID}:
        raise InvoiceNotIssued(status=invoice.status.value)
    return document_of(invoice)


def _shares(named: Sequence[Named], *, already_percent: bool = False) -> tuple[NamedAmount, ...]:
    return tuple(
        NamedAmount(
            one.name,
            one.rate if one.rate is None or already_percent else one.rate * 100,
            one.amount,
        )
        for one in named
    )


def _line(line: InvoiceLine) -> DocumentLine:
    return DocumentLine(
        description=line.description,
        amount=line.amount,
        quantity=Decimal(plain(line.quantity)) if line.quantity is not None else None,
        unit_price=_unit_price(line),
        period=line.period,
    )


def _unit_price(line: InvoiceLine) -> Decimal | None:
    """What one of them cost, where that is said or a whole number of minor units; tiers have no
    such."""
    if line.kind is LineKind.FEE:
        return line.amount.major
    if line.kind is not None:
        return Decimal(plain(line.unit_amount)) if line.unit_amount is not None else None
    if not line.quantity or line.amount.minor % line.quantity:
        return None
    minor = line.amount.minor // line.quantity
    return minor.scaleb(-line.amount.currency.digits)
