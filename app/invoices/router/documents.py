"""A customer's invoices, as data and as documents."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.infra.http.principal import needs
from app.infra.http.provide import Services, provide
from app.infra.http.schemas import PageOut, Paging
from app.infra.settings import Settings
from app.invoices.domain import Invoice, InvoiceStatus
from app.invoices.html import Pages
from app.invoices.router.files import a_file, a_page
from app.invoices.schemas import InvoiceOut
from app.invoices.service.reading import InvoiceService
from app.invoices.wire.notes import InvoiceIdOnWire
from app.kernel.ids import encode_id
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/invoices", tags=["invoices"])

Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Invoices = Annotated[InvoiceService, provide(InvoiceService)]


@router.get("", response_model=PageOut[InvoiceOut])
async def list_invoices(
    request: Request,
    principal: Reader,
    invoices: Invoices,
    paging: Paging,
    status: InvoiceStatus | None = None,
) -> PageOut[InvoiceOut]:
    """Invoices of your organization, newest first, optionally of one status."""
    page = await invoices.list(principal.organization, paging, status=status)
    return PageOut.of(page, lambda invoice: shown(request, invoice))


@router.get("/{invoice_id}", response_model=InvoiceOut)
async def get_invoice(
    request: Request, principal: Reader, invoices: Invoices, invoice_id: InvoiceIdOnWire
) -> InvoiceOut:
    """One invoice with its lines."""
    return shown(request, await invoices.get(principal.organization, invoice_id))


@router.get(
    "/{invoice_id}/pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def get_invoice_pdf(
    principal: Reader,
    invoices: Invoices,
    invoice_id: InvoiceIdOnWire,
    kind: Annotated[Literal["pdf", "facturx"], Query(alias="format")] = "pdf",
) -> Response:
    """The invoice as a PDF: archivable (PDF/A-3b), the same bytes each time. As `facturx` it is
    the invoice as it was issued, with the XML of EN 16931 in it."""
    print_it = invoices.print_einvoice if kind == "facturx" else invoices.print_pdf
    printed = await print_it(principal.organization, invoice_id)
    return a_file(printed.content, "application/pdf", f"{printed.number}.pdf")


@router.get(
    "/{invoice_id}/xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
async def get_invoice_xml(
    principal: Reader, invoices: Invoices, invoice_id: InvoiceIdOnWire
) -> Response:
    """An issued invoice of ours as EN 16931 wants it (CII, the XML of Factur-X and ZUGFeRD)."""
    printed = await invoices.print_xml(principal.organization, invoice_id)
    return a_file(printed.content, "application/xml", f"{printed.number}.xml")


@router.get(
    "/{invoice_id}/html",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}},
)
async def get_invoice_html(
    principal: Reader,
    invoices: Invoices,
    pages: Annotated[Pages, provide(Pages)],
    invoice_id: InvoiceIdOnWire,
) -> Response:
    """The invoice as a page that prints well, with the same figures as the PDF."""
    page = await invoices.print_html(principal.organization, invoice_id)
    return a_page(page, pages.content_policy)


@router.get(
    "/{invoice_id}/csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
async def get_invoice_csv(
    principal: Reader, invoices: Invoices, invoice_id: InvoiceIdOnWire
) -> Response:
    """The invoice for a spreadsheet, amounts in major units; `type` says what a row is.

    `line`, `discount` and `tax` add up to `total`; from there `customer_balance`,
    `credit_applied`, `credit_notes`, `adjustment`, `voided` and `amount_paid`, where there are
    such, lead to `amount_due`: each row adds what it says, so what was paid is negative.
    `tax_included` is what prices contain already, and is not added.
    """
    printed = await invoices.print_csv(principal.organization, invoice_id)
    return a_file(printed.content, "text/csv", f"{printed.number}.csv")


def shown(request: Request, invoice: Invoice) -> InvoiceOut:
    """The invoice as the API shows it, with the address of its PDF."""
    return InvoiceOut.from_domain(invoice, pdf_url(request.app.state.services, invoice))


def pdf_url(services: Services, invoice: Invoice) -> str:
    """Where this service serves the invoice's PDF, to whoever may read the invoice."""
    base = services[Settings].base_url
    return f"{base}/api/v1/billing/invoices/{encode_id('inv', invoice.id)}/pdf"
