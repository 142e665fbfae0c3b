"""Charges."""

from app.sandbox.core.lists import envelope, matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Range, Text, listing
from app.sandbox.core.sandbox import Sandbox


def refunds_of(sandbox: Sandbox, charge: Doc) -> Doc:
    """What `expand[]=refunds` puts on a charge."""
    found = sandbox.all("refund", charge=charge["id"])
    return envelope(found, f"/v1/charges/{charge['id']}/refunds")


def retrieve(sandbox: Sandbox, params: Doc, charge: str) -> Doc:
    return sandbox.get("charge", charge, "charge")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "payment_intent")
    return page(sandbox, "charge", "/v1/charges", params, conditions)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/charges",
        list_,
        listing(created=Range(), customer=Text(), payment_intent=Text()),
        "ChargeListParams",
    ),
    Operation("GET", "/v1/charges/{charge}", retrieve, NOTHING, "ChargeRetrieveParams"),
)
