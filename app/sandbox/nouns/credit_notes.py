"""Credit notes, as the API makes, previews and voids them."""

from app.sandbox.billing import crediting
from app.sandbox.core.lists import matching, page, page_of
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Many,
    Metadata,
    Range,
    Text,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.sandbox import Sandbox

_LINE = Fields(
    {
        "amount": Whole(),
        "description": Text(),
        "invoice_line_item": Text(),
        "quantity": Whole(least=1),
        "type": one_of("custom_line_item", "invoice_line_item"),
        "unit_amount": Whole(),
    },
    needs=("type",),
)
_ASKED = Fields(
    {
        "amount": Whole(least=1),
        "credit_amount": Whole(),
        "effective_at": instant(),
        "email_type": one_of("credit_note", "none"),
        "invoice": Text(),
        "lines": Many(_LINE),
        "memo": Text(),
        "metadata": Metadata(),
        "out_of_band_amount": Whole(),
        "reason": one_of("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
        "refund_amount": Whole(),
        "refunds": Many(Fields({"amount_refunded": Whole(), "refund": Text()})),
    },
    needs=("invoice",),
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    invoice = sandbox.named("invoice", params["invoice"], "invoice")
    note = crediting.draw_up(sandbox, invoice, params)
    return crediting.issue(sandbox, invoice, note, params)


def preview(sandbox: Sandbox, params: Doc) -> Doc:
    invoice = sandbox.named("invoice", params["invoice"], "invoice")
    return crediting.draw_up(sandbox, invoice, params)


def retrieve(sandbox: Sandbox, params: Doc, note: str) -> Doc:
    return sandbox.get("credit_note", note)


def update(sandbox: Sandbox, params: Doc, note: str) -> Doc:
    doc = sandbox.get("credit_note", note)
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if "memo" in params:
        doc["memo"] = params["memo"] or None
    return sandbox.save(doc, "credit_note.updated")


def void(sandbox: Sandbox, params: Doc, note: str) -> Doc:
    return crediting.void(sandbox, sandbox.get("credit_note", note))


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "invoice")
    return page(sandbox, "credit_note", "/v1/credit_notes", params, conditions)


def list_lines(sandbox: Sandbox, params: Doc, note: str) -> Doc:
    doc = sandbox.get("credit_note", note)
    return page_of(doc["lines"]["data"], doc["lines"]["url"], params)


_ONE = "/v1/credit_notes/{note}"
OPERATIONS = (
    Operation("POST", "/v1/credit_notes", create, _ASKED, "CreditNoteCreateParams"),
    Operation("GET", "/v1/credit_notes/preview", preview, _ASKED, "CreditNotePreviewParams"),
    Operation(
        "GET",
        "/v1/credit_notes",
        list_,
        listing(created=Range(), customer=Text(), invoice=Text()),
        "CreditNoteListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "CreditNoteRetrieveParams"),
    Operation(
        "POST",
        _ONE,
        update,
        Fields({"memo": Text(clears=True), "metadata": Metadata()}),
        "CreditNoteUpdateParams",
    ),
    Operation("GET", f"{_ONE}/lines", list_lines, listing(), "CreditNoteLineItemListParams"),
    Operation("POST", f"{_ONE}/void", void, NOTHING, "CreditNoteVoidCreditNoteParams"),
)
