"""Refunds: money back, never more than was charged."""

from app.sandbox.core import ids
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
from app.sandbox.core.refusals import invalid, required, wrong_state
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
    charge = _charge(sandbox, params)
    if not charge["paid"]:
        raise wrong_state(f"Charge {charge['id']} has failed and cannot be refunded.")
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise wrong_state(f"Charge {charge['id']} has already been refunded.",
                          "charge_already_refunded")  # fmt: skip
    amount = params.get("amount", left)
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            "amount",
        )
    refund = sandbox.add(
        {
            "id": ids.new("re"),
            "object": "refund",
            "amount": amount,
            "balance_transaction": ids.new("txn"),
            "charge": charge["id"],
            "created": sandbox.now(),
            "currency": charge["currency"],
            "customer": charge["customer"],
            "customer_account": None,
            "destination_details": {
                "type": "card",
                "card": {
                    "reference": "0" * 16,
                    "reference_status": "available",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
            },
            "metadata": merged({}, params.get("metadata")),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": params.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        }
    )
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    sandbox.save(charge)
    sandbox.emit("refund.created", refund)
    sandbox.emit("charge.refunded", charge)
    return refund


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
)
