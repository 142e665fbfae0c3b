"""Setup intents: how a card was saved when nothing was due."""

from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Range, Text, listing
from app.sandbox.core.sandbox import Sandbox


def save_card(sandbox: Sandbox, customer: str, method: str) -> Doc:
    """Record that a card was set up for a customer to be charged later."""
    name = ids.new("seti")
    intent = sandbox.add(
        {
            "id": name,
            "object": "setup_intent",
            "allowed_payment_method_types": None,
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": f"{name}_secret_{ids.token(24)}",
            "created": sandbox.now(),
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": method,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_confirmation",
            "usage": "off_session",
        },
        "setup_intent.created",
    )
    intent["status"] = "succeeded"
    sandbox.save(intent)
    sandbox.emit("setup_intent.succeeded", intent)
    return intent


def retrieve(sandbox: Sandbox, params: Doc, intent: str) -> Doc:
    return sandbox.get("setup_intent", intent, "intent")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "payment_method")
    return page(sandbox, "setup_intent", "/v1/setup_intents", params, conditions)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/setup_intents",
        list_,
        listing(created=Range(), customer=Text(), payment_method=Text()),
        "SetupIntentListParams",
    ),
    Operation("GET", "/v1/setup_intents/{intent}", retrieve, NOTHING, "SetupIntentRetrieveParams"),
)
