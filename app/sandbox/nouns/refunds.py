"""Refunds, as the API makes and tells of them."""

from app.sandbox.billing import refunding
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Metadata,
    Range,
    Text,
    Whole,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import required, wrong_state
from app.sandbox.core.sandbox import Sandbox

CREATE = Fields(
    {
        "amount": Whole(least=1),
        "charge": Text(),
        "metadata": Metadata(),
        "payment_intent": Text(),
        "reason": one_of("duplicate", "fraudulent", "requested_by_customer"),
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    more = {
        "metadata": merged({}, params.get("metadata")),
        "reason": params.get("reason"),
    }
    return refunding.make(sandbox, _charge(sandbox, params), params.get("amount"), more)


def _charge(sandbox: Sandbox, params: Doc) -> Doc:
    if "charge" in params:
        return sandbox.named("charge", params["charge"], "charge")
    if "payment_intent" not in params:
        raise required("payment_intent")
    intent = sandbox.named("payment_intent", params["payment_intent"], "payment_intent")
    if intent["latest_charge"] is None:
        raise wrong_state("This PaymentIntent does not have a successful charge to refund.")
    return sandbox.get("charge", intent["latest_charge"])


def retrieve(sandbox: Sandbox, params: Doc, refund: str) -> Doc:
    return sandbox.get("refund", refund, "refund")


def update(sandbox: Sandbox, params: Doc, refund: str) -> Doc:
    doc = sandbox.get("refund", refund, "refund")
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if sandbox.save(doc, "refund.updated") and "metadata" in params:
        sandbox.emit("charge.refund.updated", doc)
    return doc


def cancel(sandbox: Sandbox, params: Doc, refund: str) -> Doc:
    """Only a refund that waits for its receiver's bank details could be taken back."""
    doc = sandbox.get("refund", refund, "refund")
    raise wrong_state(f"This refund is {doc['status']} and cannot be canceled.")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "charge", "payment_intent")
    return page(sandbox, "refund", "/v1/refunds", params, conditions)


OPERATIONS = (
    Operation("POST", "/v1/refunds", create, CREATE, "RefundCreateParams"),
    Operation(
        "GET",
        "/v1/refunds",
        list_,
        listing(charge=Text(), created=Range(), payment_intent=Text()),
        "RefundListParams",
    ),
    Operation("GET", "/v1/refunds/{refund}", retrieve, NOTHING, "RefundRetrieveParams"),
    Operation(
        "POST",
        "/v1/refunds/{refund}",
        update,
        Fields({"metadata": Metadata()}),
        "RefundUpdateParams",
    ),
    Operation("POST", "/v1/refunds/{refund}/cancel", cancel, NOTHING, "RefundCancelParams"),
)
