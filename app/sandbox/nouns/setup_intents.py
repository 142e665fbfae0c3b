"""Setup intents: how a method is saved when nothing is due."""

from app.sandbox.billing import charging, setups
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
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import card_declined, missing_reference, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import payment_methods

_AUTOMATIC = Fields(
    {"allow_redirects": one_of("always", "never"), "enabled": Flag()}, needs=("enabled",)
)
CREATE = Fields(
    {
        "automatic_payment_methods": _AUTOMATIC,
        "confirm": Flag(),
        "customer": Text(),
        "description": Text(),
        "metadata": Metadata(),
        "payment_method": Text(),
        "return_url": Url(),
        "usage": one_of("off_session", "on_session"),
    }
)
_REASONS = ("abandoned", "duplicate", "requested_by_customer")


def create(sandbox: Sandbox, params: Doc) -> Doc:
    customer = params.get("customer")
    if customer:
        sandbox.named("customer", customer, "customer")
    intent = setups.begin(sandbox, customer, params.get("usage", "off_session"))
    intent["description"] = params.get("description")
    intent["metadata"] = merged({}, params.get("metadata"))
    if "payment_method" in params:
        intent.update(
            payment_method=_method(sandbox, params["payment_method"])["id"],
            status="requires_confirmation",
        )
    sandbox.save(intent)
    return confirm(sandbox, {}, intent["id"]) if params.get("confirm") else intent


def _method(sandbox: Sandbox, id: str) -> Doc:
    method = payment_methods.resolve(sandbox, id)
    if method is None:
        raise missing_reference("PaymentMethod", id, "payment_method")
    return method


def retrieve(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    return sandbox.get("setup_intent", intent, "intent")


def confirm(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    doc = sandbox.get("setup_intent", intent, "intent")
    if doc["status"] in ("succeeded", "canceled"):
        raise wrong_state(
            f"You cannot confirm this SetupIntent because it has a status of {doc['status']}.",
            "setup_intent_unexpected_state",
        )
    chosen = params.get("payment_method", doc["payment_method"])
    if chosen is None:
        raise required("payment_method")
    method = _method(sandbox, chosen)
    if not method["_attaches"]:
        error = charging.decline(method)
        doc["payment_method"] = method["id"]
        setups.refuse(sandbox, doc, error)
        raise card_declined(error, keeps_changes=True)
    if doc["customer"] is not None:
        customer = sandbox.get("customer", doc["customer"])
        payment_methods.put_on(sandbox, method["id"], customer, "payment_method")
    setups.confirm(sandbox, doc, method)
    return doc


def cancel(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    doc = sandbox.get("setup_intent", intent, "intent")
    if doc["status"] in ("succeeded", "canceled"):
        raise wrong_state(
            f"You cannot cancel this SetupIntent because it has a status of {doc['status']}.",
            "setup_intent_unexpected_state",
        )
    setups.cancel(sandbox, doc, params.get("cancellation_reason"))
    return doc


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "payment_method")
    return page(sandbox, "setup_intent", "/v1/setup_intents", params, conditions)


_ONE = "/v1/setup_intents/{intent}"
OPERATIONS = (
    Operation("POST", "/v1/setup_intents", create, CREATE, "SetupIntentCreateParams"),
    Operation(
        "GET",
        "/v1/setup_intents",
        list_,
        listing(created=Range(), customer=Text(), payment_method=Text()),
        "SetupIntentListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "SetupIntentRetrieveParams"),
    Operation(
        "POST",
        f"{_ONE}/confirm",
        confirm,
        Fields({"payment_method": Text(), "return_url": Url()}),
        "SetupIntentConfirmParams",
    ),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        cancel,
        Fields({"cancellation_reason": one_of(*_REASONS)}),
        "SetupIntentCancelParams",
    ),
)
