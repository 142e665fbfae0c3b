"""Payment intents: those that invoices were paid through."""

from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Range, Text, listing
from app.sandbox.core.sandbox import Sandbox


def retrieve(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    return sandbox.get("payment_intent", intent, "intent")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer")
    return page(sandbox, "payment_intent", "/v1/payment_intents", params, conditions)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/payment_intents",
        list_,
        listing(created=Range(), customer=Text()),
        "PaymentIntentListParams",
    ),
    Operation(
        "GET", "/v1/payment_intents/{intent}", retrieve, NOTHING, "PaymentIntentRetrieveParams"
    ),
)
