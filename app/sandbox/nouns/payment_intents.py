"""Payment intents: those that invoices are paid through, and those of their own."""

from app.sandbox.billing import charging, payments, settlement
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Metadata,
    Range,
    Text,
    Url,
    Whole,
    given,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import (
    card_declined,
    invalid,
    missing_reference,
    required,
    wrong_state,
)
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import payment_methods

_FIELDS = {key: Text(clears=True) for key in
           ("city", "country", "line1", "line2", "postal_code", "state")}  # fmt: skip
_SHIPPING = Fields(
    {
        "address": Fields(_FIELDS),
        "carrier": Text(),
        "name": Text(),
        "phone": Text(),
        "tracking_number": Text(),
    },
    needs=("address", "name"),
)
_AUTOMATIC = Fields(
    {"allow_redirects": one_of("always", "never"), "enabled": Flag()}, needs=("enabled",)
)
CREATE = Fields(
    {
        "amount": Whole(least=1),
        "automatic_payment_methods": _AUTOMATIC,
        "confirm": Flag(),
        "currency": Text(most=3),
        "customer": Text(),
        "description": Text(),
        "metadata": Metadata(),
        "off_session": Flag(),
        "payment_method": Text(),
        "receipt_email": Text(clears=True),
        "return_url": Url(),
        "setup_future_usage": one_of("off_session", "on_session"),
        "shipping": _SHIPPING,
        "statement_descriptor": Text(most=22),
        "statement_descriptor_suffix": Text(most=22),
    },
    needs=("amount", "currency"),
    refused={
        "payment_method_types": (
            "payment_method_types_no_longer_supported",
            (
                "The `payment_method_types` parameter is no longer supported on PaymentIntents. "
                "Payment methods are chosen dynamically."
            ),
        )
    },
)
_CONFIRM = Fields(
    {
        "off_session": Flag(),
        "payment_method": Text(),
        "receipt_email": Text(clears=True),
        "return_url": Url(),
    }
)
_REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(sandbox: Sandbox, params: Doc) -> Doc:
    customer = params.get("customer")
    if customer:
        sandbox.named("customer", customer, "customer")
    currency = params["currency"].lower()
    if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise invalid(f"Invalid currency: {currency}", "currency")
    intent = payments.new_intent(sandbox, params["amount"], currency, customer, None)
    intent.update(
        given(params, "description", "receipt_email", "shipping", "statement_descriptor",
              "statement_descriptor_suffix"),
        automatic_payment_methods={"allow_redirects": "always", "enabled": True},
        metadata=merged({}, params.get("metadata")),
        setup_future_usage=params.get("setup_future_usage"),
    )  # fmt: skip
    if intent["shipping"]:
        intent["shipping"] = {"carrier": None, "phone": None, "tracking_number": None,
                              **intent["shipping"]}  # fmt: skip
    if "payment_method" in params:
        intent.update(
            payment_method=_method(sandbox, intent, params["payment_method"])["id"],
            status="requires_confirmation",
        )
    sandbox.add(intent, "payment_intent.created")
    if params.get("confirm"):
        return confirm(sandbox, given(params, "off_session"), intent["id"])
    return intent


def _method(sandbox: Sandbox, intent: Doc, id: str) -> Doc:
    method = payment_methods.resolve(sandbox, id)
    if method is None:
        raise missing_reference("PaymentMethod", id, "payment_method")
    if method["customer"] not in (None, intent["customer"]):
        raise wrong_state("The payment method you provided belongs to another customer.")
    return method


def retrieve(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    return sandbox.get("payment_intent", intent, "intent")


def update(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    doc = sandbox.get("payment_intent", intent, "intent")
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    doc.update(given(params, "description"))
    return sandbox.save(doc)


def confirm(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    """Attempt the payment; one that is declined leaves its failed charge behind."""
    doc = sandbox.get("payment_intent", intent, "intent")
    if doc["status"] not in _CONFIRMABLE:
        raise wrong_state(
            f"This PaymentIntent could not be confirmed because it has a status of "
            f"{doc['status']}.",
            "payment_intent_unexpected_state",
        )
    chosen = params.get("payment_method", doc["payment_method"])
    if chosen is None:
        raise required("payment_method")
    method = _method(sandbox, doc, chosen)
    on_session = not params.get("off_session", False)
    invoice = payments.invoice_of(sandbox, doc)
    if invoice is not None and invoice["status"] == "open":
        outcome = settlement.collect(
            sandbox, invoice, method, plans_retry=False, on_session=on_session
        )
    else:
        outcome = charging.confirm(sandbox, doc, method, on_session=on_session)
    if outcome.error is not None:
        raise card_declined(outcome.error, keeps_changes=True)
    return doc


def cancel(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    doc = sandbox.get("payment_intent", intent, "intent")
    if doc["status"] in ("succeeded", "canceled", "processing"):
        raise wrong_state(
            f"You cannot cancel this PaymentIntent because it has a status of {doc['status']}.",
            "payment_intent_unexpected_state",
        )
    if doc.get("_invoice"):
        raise wrong_state("A PaymentIntent created by an invoice cannot be canceled; void the "
                          "invoice instead.")  # fmt: skip
    doc.update(
        status="canceled",
        canceled_at=sandbox.now(),
        cancellation_reason=params.get("cancellation_reason"),
        next_action=None,
    )
    sandbox.save(doc)
    sandbox.emit("payment_intent.canceled", doc)
    return doc


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer")
    return page(sandbox, "payment_intent", "/v1/payment_intents", params, conditions)


_ONE = "/v1/payment_intents/{intent}"
OPERATIONS = (
    Operation("POST", "/v1/payment_intents", create, CREATE, "PaymentIntentCreateParams"),
    Operation(
        "GET",
        "/v1/payment_intents",
        list_,
        listing(created=Range(), customer=Text()),
        "PaymentIntentListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "PaymentIntentRetrieveParams"),
    Operation(
        "POST",
        _ONE,
        update,
        Fields({"description": Text(), "metadata": Metadata()}),
        "PaymentIntentUpdateParams",
    ),
    Operation("POST", f"{_ONE}/confirm", confirm, _CONFIRM, "PaymentIntentConfirmParams"),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        cancel,
        Fields({"cancellation_reason": one_of(*_REASONS)}),
        "PaymentIntentCancelParams",
    ),
)
