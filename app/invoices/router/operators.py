"""Operators at work on invoices of our own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.invoices.domain import RefundState
from app.invoices.router.documents import shown
from app.invoices.schemas import (
    AgreementIn,
    BillingDetailsOut,
    GenerateIn,
    InvoiceOut,
    PaidIn,
    ReasonIn,
    RunOut,
)
from app.invoices.service.correcting import CreditNotes
from app.invoices.service.desk import InvoiceDesk
from app.invoices.service.details import BillingDetailsService
from app.invoices.service.notes import IssuedNotes, NotePromises
from app.invoices.service.running import InvoiceRun
from app.invoices.wire.notes import (
    CreditNoteIdOnWire,
    CreditNoteIn,
    CreditNoteOut,
    InvoiceIdOnWire,
    SentIn,
)
from app.kernel.ids import OrganizationId

router = APIRouter(prefix="/admin", tags=["admin"], route_class=IdempotentRoute)

Desk = Annotated[InvoiceDesk, provide(InvoiceDesk)]
OrganizationIdOnWire = prefixed_id("org")


@router.post("/invoices/generate", response_model=InvoiceOut, status_code=201)
async def generate_invoice(
    request: Request, operator: CurrentOperator, desk: Desk, body: GenerateIn
) -> InvoiceOut:
    """A draft of an organization's window that starts in the month, with its usage as of now.

    Without a paid window the month itself. What the plan has no price for is billed at what it
    cost. Asking again brings the draft up to date; once it is issued the answer is 409
    `window_already_billed`. 409 `usage_unpriced` while any of the usage waits for a price, and
    `plan_cannot_be_rated` where an older catalog version contradicts itself.
    """
    owner = OrganizationId(body.organization_id)
    return shown(request, await desk.generate(owner, body.month, body.tax_rate))


@router.post("/invoices/run", response_model=RunOut)
async def run_invoices(
    operator: CurrentOperator, run: Annotated[InvoiceRun, provide(InvoiceRun)]
) -> RunOut:
    """Close every window that has ended, as the hourly job does: draft it, and issue it once its
    grace is over. Running it again changes nothing."""
    return RunOut.from_domain(await run.close())


@router.post("/invoices/{invoice_id}/finalize", response_model=InvoiceOut)
async def finalize_invoice(
    request: Request, operator: CurrentOperator, desk: Desk, invoice_id: InvoiceIdOnWire
) -> InvoiceOut:
    """Issue a draft now: rated once more, numbered, credit applied. From then on it never changes.

    Usage that arrives later stands on the next invoice as an adjustment. An issued invoice is
    answered as it is.
    """
    return shown(request, await desk.finalize(invoice_id))


@router.post("/invoices/{invoice_id}/void", response_model=InvoiceOut)
async def void_invoice(
    request: Request,
    operator: CurrentOperator,
    desk: Desk,
    invoice_id: InvoiceIdOnWire,
    body: ReasonIn | None = None,
) -> InvoiceOut:
    """Declare that nothing is owed on it. Credit goes back, and the window can be generated again.

    The run does not issue it again by itself. Until the window is generated, the next invoice
    asks for its usage as adjustments, and nobody for its fee: to bill the fee too, generate the
    window again before that.

    409 `invoice_settled` once money came in or a credit note was issued.
    """
    return shown(request, await desk.void(invoice_id, body.reason if body else None))


@router.post("/invoices/{invoice_id}/mark-paid", response_model=InvoiceOut)
async def mark_invoice_paid(
    request: Request,
    operator: CurrentOperator,
    desk: Desk,
    invoice_id: InvoiceIdOnWire,
    body: PaidIn | None = None,
) -> InvoiceOut:
    """Note a bank transfer: all that is owed, or an `amount` of it.

    On a paid invoice a repeat (no amount and no reference, or those of a transfer that was noted)
    is answered as it is; anything else is 409 `invoice_already_paid`. A part with the amount and
    the reference of one that was noted is 409 `payment_already_noted`, unless it was received at
    another time. 409 `invoice_is_stripes` for an invoice that Stripe issued.
    """
    paid = body or PaidIn()
    return shown(
        request, await desk.mark_paid(invoice_id, paid.amount, paid.reference, paid.received_at)
    )


@router.post("/invoices/{invoice_id}/credit-notes", response_model=CreditNoteOut, status_code=201)
async def issue_credit_note(
    operator: CurrentOperator,
    notes: Annotated[CreditNotes, provide(CreditNotes)],
    invoice_id: InvoiceIdOnWire,
    body: CreditNoteIn,
) -> CreditNoteOut:
    """Take back a part of an issued invoice with the tax on it, never more than the invoice.

    Of an open invoice less is left to pay; of a paid one it becomes credit, or a refund of at
    most what was paid. What was paid through Stripe is refunded there, soon after; anything else
    is sent by hand, and has been with a `refund_reference`.

    An invoice that Stripe issued is 409 `invoice_is_stripes`: its payment is given back with `POST
    /admin/refunds`.
    """
    return CreditNoteOut.from_domain(await notes.issue(invoice_id, body.to_domain()))


@router.get("/credit-notes", response_model=PageOut[CreditNoteOut])
async def list_all_credit_notes(
    operator: CurrentOperator,
    notes: Annotated[IssuedNotes, provide(IssuedNotes)],
    paging: Paging,
    organization_id: OrganizationIdOnWire | None = None,  # type: ignore[valid-type]
    refund: RefundState | None = None,
) -> PageOut[CreditNoteOut]:
    """Credit notes of every organization, newest first; `refund=failed` are those whose money
    somebody has to send, `refund=requested` those that wait for Stripe or for a transfer."""
    page = await notes.list_for_operators(paging, organization_id, refund)
    return PageOut.of(page, CreditNoteOut.from_domain)


@router.post("/credit-notes/{credit_note_id}/sent", response_model=CreditNoteOut)
async def mark_refund_sent(
    operator: CurrentOperator,
    promises: Annotated[NotePromises, provide(NotePromises)],
    credit_note_id: CreditNoteIdOnWire,
    body: SentIn,
) -> CreditNoteOut:
    """Note that a credit note's refund was sent by transfer: one that waits for it, or one that
    Stripe could not make. 409 `no_refund_waits` where nothing is to be sent by hand."""
    return CreditNoteOut.from_domain(await promises.sent(credit_note_id, body.reference))


@router.put("/organizations/{organization_id}/billing-agreement", response_model=BillingDetailsOut)
async def put_billing_agreement(
    operator: CurrentOperator,
    details: Annotated[BillingDetailsService, provide(BillingDetailsService)],
    organization_id: OrganizationIdOnWire,  # type: ignore[valid-type]
    body: AgreementIn,
) -> BillingDetailsOut:
    """The organization's own tax rate, and whether its invoices are paid through Stripe or by
    transfer; null leaves either to the settings."""
    owner = OrganizationId(organization_id)
    return BillingDetailsOut.from_domain(await details.agree(owner, body.tax_rate, body.collection))
