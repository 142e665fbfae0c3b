"""Payment methods: test cards, on and off customers."""

from app.sandbox.billing import charging
from app.sandbox.billing.cards import ACCOUNTS, BANKS, CARDS, NAMES, NUMBERS, Bank, Card
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
        "type": one_of("card", "sepa_debit", "us_bank_account"),
        "card": Fields(
            {
                "token": Text(),
                "number": Text(),
                "exp_month": Whole(least=1, most=12),
                "exp_year": Whole(least=2000, most=2100),
                "cvc": Text(),
            }
        ),
        "sepa_debit": Fields({"iban": Text()}, needs=("iban",)),
        "us_bank_account": Fields(
            {
                "account_holder_type": one_of("company", "individual"),
                "account_number": Text(),
                "account_type": one_of("checking", "savings"),
                "routing_number": Text(),
            }
        ),
        "billing_details": _BILLING,
        "metadata": Metadata(),
    },
    needs=("type",),
)
UPDATE = Fields({"metadata": Metadata(), "billing_details": _BILLING})


def new_method(sandbox: Sandbox, name: str, sent: Doc | None = None) -> Doc:
    """A payment method made of a test card or account, on nobody yet."""
    sent = sent or {}
    details = sent.get("billing_details", {})
    address = details.get("address") or {}
    made = _of_bank(BANKS[name], sent) if name in BANKS else _of_card(CARDS[name], sent)
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
            "created": sandbox.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": merged({}, sent.get("metadata")),
            **made,
        }
    )


def _of_card(card: Card, sent: Doc) -> Doc:
    number = sent.get("card", {})
    return {
        "type": "card",
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
        "_attaches": card.attaches,
        "_authenticates": card.authenticates,
        "_decline_code": card.decline_code,
        "_disputes": card.disputes,
    }


def _of_bank(bank: Bank, sent: Doc) -> Doc:
    account: Doc = {
        "bank_code": "19043",
        "branch_code": "",
        "country": "AT",
        "fingerprint": f"sandboxsepa{bank.last4}",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": bank.last4,
    }
    if bank.kind == "us_bank_account":
        given = sent.get(bank.kind, {})
        account = {
            "account_holder_type": given.get("account_holder_type", "individual"),
            "account_type": given.get("account_type", "checking"),
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": f"sandboxach{bank.last4}",
            "last4": bank.last4,
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": "110000000",
            "status_details": None,
        }
    return {
        "type": bank.kind,
        bank.kind: account,
        "_attaches": True,
        "_decline_code": None,
        "_settles": bank.settles,
    }


def put_on(sandbox: Sandbox, id: str, customer: Doc, at: str) -> Doc:
    """Attach a method, or a fresh one of a test card such as `pm_card_visa`, to a customer."""
    method = resolve(sandbox, id)
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
        raise card_declined(charging.decline(method))
    if method["customer"] is None:
        method["customer"] = customer["id"]
        sandbox.save(method)
        sandbox.emit("payment_method.attached", method)
    return method


def resolve(sandbox: Sandbox, id: str) -> Doc | None:
    """A method by its id; the name of a test card or account stands for a fresh one."""
    if id in NAMES:
        return new_method(sandbox, NAMES[id])
    if id.startswith("pm_card_") and id.removeprefix("pm_card_") in CARDS:
        return new_method(sandbox, id.removeprefix("pm_card_"))
    return sandbox.find("payment_method", id)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    return new_method(sandbox, _named(params, params["type"]), params)


def _named(params: Doc, kind: str) -> str:
    """Which test card or account the details stand for."""
    sent = params.get(kind)
    if sent is None:
        raise required(kind)
    if "token" in sent:
        name = str(sent["token"]).removeprefix("tok_")
        if name not in CARDS or not sent["token"].startswith("tok_"):
            raise missing_reference("token", sent["token"], "card[token]")
        return name
    field, known = {
        "card": ("number", NUMBERS),
        "sepa_debit": ("iban", ACCOUNTS),
        "us_bank_account": ("account_number", ACCOUNTS),
    }[kind]
    if field not in sent:
        raise required(f"{kind}[{field}]")
    name = known.get(sent[field].replace(" ", ""), "")
    if not name or (name in BANKS and BANKS[name].kind != kind):
        raise invalid(
            "The sandbox knows Stripe's test cards and accounts only.", f"{kind}[{field}]",
            "incorrect_number",
        )  # fmt: skip
    return name


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
    if resolve(sandbox, payment_method) is None:
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
