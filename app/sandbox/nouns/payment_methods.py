"""Payment methods: test cards, on and off customers."""

from app.sandbox.billing.cards import CARDS, MESSAGES, NUMBERS, Card
from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Metadata,
    Text,
    Whole,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import (
    card_declined,
    invalid,
    missing,
    missing_reference,
    required,
    wrong_state,
)
from app.sandbox.core.sandbox import Sandbox

_BILLING = Fields(
    {
        "address": Fields(
            {
                key: Text(clears=True)
                for key in ("city", "country", "line1", "line2", "postal_code", "state")
            },
            clears=True,
        ),
        "email": Text(clears=True),
        "name": Text(clears=True),
        "phone": Text(clears=True),
    }
)
CREATE = Fields(
    {
        "type": one_of("card"),
        "card": Fields(
            {
                "token": Text(),
                "number": Text(),
                "exp_month": Whole(least=1, most=12),
                "exp_year": Whole(least=2000, most=2100),
                "cvc": Text(),
            }
        ),
        "billing_details": _BILLING,
        "metadata": Metadata(),
    },
    needs=("type",),
)
UPDATE = Fields({"metadata": Metadata(), "billing_details": _BILLING})


def new_method(sandbox: Sandbox, name: str, sent: Doc | None = None) -> Doc:
    """A payment method made of a test card, on nobody yet."""
    card: Card = CARDS[name]
    sent = sent or {}
    details = sent.get("billing_details", {})
    address = details.get("address") or {}
    number = sent.get("card", {})
    return sandbox.add(
        {
            "id": ids.new("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": {
                    key: address.get(key) or None
                    for key in ("city", "country", "line1", "line2", "postal_code", "state")
                },
                "email": details.get("email") or None,
                "name": details.get("name") or None,
                "phone": details.get("phone") or None,
                "tax_id": None,
            },
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": number.get("exp_month", 12),
                "exp_year": number.get("exp_year", 2034),
                "fingerprint": f"sandbox{card.brand}{card.last4}",
                "funding": "credit",
                "generated_from": None,
                "last4": card.last4,
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
            "created": sandbox.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": merged({}, sent.get("metadata")),
            "type": "card",
            "_attaches": card.attaches,
            "_decline_code": card.decline_code,
        }
    )


def put_on(sandbox: Sandbox, id: str, customer: Doc, at: str) -> Doc:
    """Attach a method, or a fresh one of a test card such as `pm_card_visa`, to a customer."""
    method = _resolve(sandbox, id)
    if method is None:
        raise missing_reference("PaymentMethod", id, at)
    if method["customer"] not in (None, customer["id"]):
        raise wrong_state("The payment method you provided is attached to another customer.")
    if method.get("_detached"):
        raise wrong_state(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    if not method["_attaches"]:
        raise card_declined(decline(method))
    if method["customer"] is None:
        method["customer"] = customer["id"]
        sandbox.save(method)
        sandbox.emit("payment_method.attached", method)
    return method


def decline(method: Doc) -> Doc:
    """The error of a card that says no."""
    reason = method["_decline_code"] or "generic_decline"
    return {"code": "card_declined", "decline_code": reason, "message": MESSAGES[reason]}


def _resolve(sandbox: Sandbox, id: str) -> Doc | None:
    if id.startswith("pm_card_") and id.removeprefix("pm_card_") in CARDS:
        return new_method(sandbox, id.removeprefix("pm_card_"))
    return sandbox.find("payment_method", id)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    card = params.get("card")
    if card is None:
        raise required("card")
    if "token" in card:
        name = card["token"].removeprefix("tok_")
        if name not in CARDS or not card["token"].startswith("tok_"):
            raise missing_reference("token", card["token"], "card[token]")
    elif "number" in card:
        known = NUMBERS.get(card["number"].replace(" ", ""))
        if known is None:
            raise invalid(
                "The sandbox knows Stripe's test card numbers only.", "card[number]",
                "incorrect_number",
            )  # fmt: skip
        name = known
    else:
        raise required("card[number]")
    return new_method(sandbox, name, params)


def retrieve(sandbox: Sandbox, params: Doc, payment_method: str) -> Doc:
    return sandbox.get("payment_method", payment_method, "payment_method")


def update(sandbox: Sandbox, params: Doc, payment_method: str) -> Doc:
    method = sandbox.get("payment_method", payment_method, "payment_method")
    if method["customer"] is None:
        raise wrong_state(
            "You must save this PaymentMethod to a customer before you can update it."
        )
    method["metadata"] = merged(method["metadata"], params.get("metadata"))
    details = params.get("billing_details", {})
    for key in ("email", "name", "phone"):
        if key in details:
            method["billing_details"][key] = details[key] or None
    return sandbox.save(method, "payment_method.updated")


def attach(sandbox: Sandbox, params: Doc, payment_method: str) -> Doc:
    if _resolve(sandbox, payment_method) is None:
        raise missing("PaymentMethod", payment_method, "payment_method")
    customer = sandbox.named("customer", params["customer"], "customer")
    return put_on(sandbox, payment_method, customer, "payment_method")


def detach(sandbox: Sandbox, params: Doc, payment_method: str) -> Doc:
    method = sandbox.get("payment_method", payment_method, "payment_method")
    if method["customer"] is None:
        raise wrong_state("The payment method you provided is not attached to a customer.")
    customer = sandbox.find("customer", method["customer"])
    before, method["customer"] = method["customer"], None
    method["_detached"] = True
    sandbox.save(method)
    if customer is not None and not customer.get("deleted"):
        settings = customer["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            settings["default_payment_method"] = None
            sandbox.save(customer, "customer.updated")
        for subscription in sandbox.all("subscription", customer=before):
            if subscription["default_payment_method"] == method["id"]:
                subscription["default_payment_method"] = None
                sandbox.save(subscription, "customer.subscription.updated")
    sandbox.emit("payment_method.detached", method, {"customer": before})
    return method


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "type", "customer")
    return page(sandbox, "payment_method", "/v1/payment_methods", params, conditions)


OPERATIONS = (
    Operation("POST", "/v1/payment_methods", create, CREATE, "PaymentMethodCreateParams"),
    Operation(
        "GET",
        "/v1/payment_methods",
        list_,
        listing(customer=Text(), type=Text()),
        "PaymentMethodListParams",
    ),
    Operation(
        "GET",
        "/v1/payment_methods/{payment_method}",
        retrieve,
        NOTHING,
        "PaymentMethodRetrieveParams",
    ),
    Operation(
        "POST",
        "/v1/payment_methods/{payment_method}",
        update,
        UPDATE,
        "PaymentMethodUpdateParams",
    ),
    Operation(
        "POST",
        "/v1/payment_methods/{payment_method}/attach",
        attach,
        Fields({"customer": Text()}, needs=("customer",)),
        "PaymentMethodAttachParams",
    ),
    Operation(
        "POST",
        "/v1/payment_methods/{payment_method}/detach",
        detach,
        NOTHING,
        "PaymentMethodDetachParams",
    ),
)
