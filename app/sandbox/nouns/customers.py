"""Customers."""

from app.sandbox.core import ids
from app.sandbox.core.lists import matching, of_clock, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Many,
    Metadata,
    Range,
    Spec,
    Text,
    Whole,
    given,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import missing_reference
from app.sandbox.core.sandbox import CLOCK, Sandbox
from app.sandbox.nouns import payment_methods, subscriptions

ADDRESS = {key: Text(clears=True) for key in
           ("city", "country", "line1", "line2", "postal_code", "state")}  # fmt: skip
_COMMON: dict[str, Spec] = {
    "address": Fields(ADDRESS, clears=True),
    "balance": Whole(least=-(10**12)),
    "description": Text(clears=True),
    "email": Text(clears=True, most=512),
    "invoice_prefix": Text(most=12),
    "invoice_settings": Fields({"default_payment_method": Text(clears=True)}),
    "metadata": Metadata(),
    "name": Text(clears=True, most=256),
    "next_invoice_sequence": Whole(least=1),
    "phone": Text(clears=True, most=20),
    "preferred_locales": Many(Text()),
    "tax_exempt": one_of("exempt", "none", "reverse", clears=True),
}
CREATE = Fields({**_COMMON, "payment_method": Text(), "test_clock": Text()})
UPDATE = Fields(_COMMON)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if "test_clock" in params:
        sandbox.named(CLOCK, params["test_clock"], "test_clock")
    customer: Doc = {
        "id": ids.new("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": sandbox.now(),
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": ids.token(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": params.get("test_clock"),
    }
    sandbox.add(customer)
    if "payment_method" in params:
        named = params["payment_method"]
        method = payment_methods.put_on(sandbox, named, customer, "payment_method")
        settings = params.get("invoice_settings", {})
        if settings.get("default_payment_method") == named:
            # `pm_card_visa` stands for the card that was just made of it.
            settings["default_payment_method"] = method["id"]
    _write(sandbox, customer, params)
    sandbox.save(customer)
    sandbox.emit("customer.created", customer)
    return customer


def _write(sandbox: Sandbox, customer: Doc, params: Doc) -> None:
    customer.update(
        given(
            params,
            "balance",
            "description",
            "email",
            "invoice_prefix",
            "name",
            "next_invoice_sequence",
            "phone",
            "preferred_locales",
        )
    )
    if "address" in params:
        sent = params["address"]
        customer["address"] = {key: sent.get(key) or None for key in ADDRESS} if sent else None
    if "tax_exempt" in params:
        customer["tax_exempt"] = params["tax_exempt"] or "none"
    customer["metadata"] = merged(customer["metadata"], params.get("metadata"))
    default = params.get("invoice_settings", {}).get("default_payment_method")
    if default is not None:
        if default:
            at = "invoice_settings[default_payment_method]"
            method = sandbox.find("payment_method", default)
            if method is None or method["customer"] != customer["id"]:
                raise missing_reference("PaymentMethod", default, at)
        customer["invoice_settings"]["default_payment_method"] = default or None


def retrieve(sandbox: Sandbox, params: Doc, customer: str) -> Doc:
    found = sandbox.find("customer", customer)
    if found is not None and found.get("deleted"):
        return found
    return sandbox.get("customer", customer)


def update(sandbox: Sandbox, params: Doc, customer: str) -> Doc:
    doc = sandbox.get("customer", customer)
    _write(sandbox, doc, params)
    return sandbox.save(doc, "customer.updated")


def delete(sandbox: Sandbox, params: Doc, customer: str) -> Doc:
    doc = sandbox.get("customer", customer)
    for subscription in sandbox.all("subscription", customer=customer):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            subscriptions.cancel(sandbox, {}, subscription["id"])
    sandbox.emit("customer.deleted", doc)
    gone = {"id": customer, "object": "customer", "deleted": True}
    return sandbox.save(gone)


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = [*matching(params, "email"), of_clock(params)]
    return page(sandbox, "customer", "/v1/customers", params, conditions)


def list_payment_methods(sandbox: Sandbox, params: Doc, customer: str) -> Doc:
    sandbox.get("customer", customer)
    return page(
        sandbox,
        "payment_method",
        f"/v1/customers/{customer}/payment_methods",
        params,
        matching({**params, "customer": customer}, "type", "customer"),
    )


OPERATIONS = (
    Operation("POST", "/v1/customers", create, CREATE, "CustomerCreateParams"),
    Operation(
        "GET",
        "/v1/customers",
        list_,
        listing(created=Range(), email=Text(), test_clock=Text()),
        "CustomerListParams",
    ),
    Operation("GET", "/v1/customers/{customer}", retrieve, NOTHING, "CustomerRetrieveParams"),
    Operation("POST", "/v1/customers/{customer}", update, UPDATE, "CustomerUpdateParams"),
    Operation("DELETE", "/v1/customers/{customer}", delete, NOTHING, "CustomerDeleteParams"),
    Operation(
        "GET",
        "/v1/customers/{customer}/payment_methods",
        list_payment_methods,
        listing(type=Text()),
        "CustomerPaymentMethodListParams",
    ),
)
