"""Receipts of paid invoices."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.invoices.html import Pages
from app.invoices.router.files import a_file, a_page
from app.invoices.service.receipts import Receipts
from app.invoices.wire.notes import InvoiceIdOnWire
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/invoices", tags=["invoices"])


@router.get(
    "/{invoice_id}/receipt",
    response_class=Response,
    responses={
        200: {"content": {"application/pdf": {}, "text/html": {}}},
        409: {"description": "`invoice_not_paid`: there is a receipt once it is paid."},
    },
)
async def get_receipt(
    principal: Annotated[Principal, needs(Permission.BILLING_READ)],
    receipts: Annotated[Receipts, provide(Receipts)],
    pages: Annotated[Pages, provide(Pages)],
    invoice_id: InvoiceIdOnWire,
    form: Annotated[Literal["pdf", "html"], Query(alias="format")] = "pdf",
) -> Response:
    """What was paid on an invoice, when, how and under which reference: by card, by transfer,
    from prepaid credit. Of an invoice of either origin, once it is paid in full."""
    if form == "html":
        page = await receipts.print_html(principal.organization, invoice_id)
        return a_page(page, pages.content_policy)
    printed = await receipts.print_pdf(principal.organization, invoice_id)
    return a_file(printed.content, "application/pdf", f"receipt-{printed.number}.pdf")
