"""A customer's credit notes, as data and as documents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response

from app.infra.http.principal import needs
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.invoices.html import Pages
from app.invoices.router.files import a_file, a_page
from app.invoices.service.notes import IssuedNotes
from app.invoices.wire.notes import CreditNoteIdOnWire, CreditNoteOut
from app.kernel.principal import Permission, Principal

router = APIRouter(prefix="/billing/credit-notes", tags=["invoices"])

Reader = Annotated[Principal, needs(Permission.BILLING_READ)]
Notes = Annotated[IssuedNotes, provide(IssuedNotes)]


@router.get("", response_model=PageOut[CreditNoteOut])
async def list_credit_notes(
    principal: Reader, notes: Notes, paging: Paging
) -> PageOut[CreditNoteOut]:
    """Credit notes of your organization's invoices, newest first."""
    page = await notes.list(principal.organization, paging)
    return PageOut.of(page, CreditNoteOut.from_domain)


@router.get("/{credit_note_id}", response_model=CreditNoteOut)
async def get_credit_note(
    principal: Reader, notes: Notes, credit_note_id: CreditNoteIdOnWire
) -> CreditNoteOut:
    """One credit note: what it takes back of which line, and what became of the amount."""
    return CreditNoteOut.from_domain(await notes.get(principal.organization, credit_note_id))


@router.get(
    "/{credit_note_id}/pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def get_credit_note_pdf(
    principal: Reader, notes: Notes, credit_note_id: CreditNoteIdOnWire
) -> Response:
    """The credit note as a PDF: archivable (PDF/A-3b), the same bytes each time."""
    printed = await notes.print_pdf(principal.organization, credit_note_id)
    return a_file(printed.content, "application/pdf", f"{printed.number}.pdf")


@router.get(
    "/{credit_note_id}/html",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}},
)
async def get_credit_note_html(
    principal: Reader,
    notes: Notes,
    pages: Annotated[Pages, provide(Pages)],
    credit_note_id: CreditNoteIdOnWire,
) -> Response:
    """The credit note as a page that prints well, with the same figures as the PDF."""
    page = await notes.print_html(principal.organization, credit_note_id)
    return a_page(page, pages.content_policy)
