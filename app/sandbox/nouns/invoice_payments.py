"""Invoice payments: which payment paid which invoice."""

from app.sandbox.billing import payments
from app.sandbox.core.lists import envelope, matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Fields, Range, Text, listing, one_of
from app.sandbox.core.sandbox import Sandbox


def of_invoice(sandbox: Sandbox, invoice: Doc) -> Doc:
    """What `expand[]=payments` puts on an invoice."""
    found = payments.of_invoice(sandbox, invoice["id"])
    return envelope(found, f"/v1/invoice_payments?invoice={invoice['id']}")


def retrieve(sandbox: Sandbox, params: Doc, invoice_payment: str) -> Doc:
    return sandbox.get("invoice_payment", invoice_payment, "invoice_payment")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "invoice", "status")
    for key, value in params.get("payment", {}).items():
        conditions.extend(matching({key: value}, **{key: f"payment.{key}"}))
    return page(sandbox, "invoice_payment", "/v1/invoice_payments", params, conditions)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/invoice_payments",
        list_,
        listing(
            created=Range(),
            invoice=Text(),
            payment=Fields(
                {"payment_intent": Text(), "type": one_of("payment_intent")}, needs=("type",)
            ),
            status=one_of("canceled", "open", "paid"),
        ),
        "InvoicePaymentListParams",
    ),
    Operation(
        "GET",
        "/v1/invoice_payments/{invoice_payment}",
        retrieve,
        NOTHING,
        "InvoicePaymentRetrieveParams",
    ),
)
