"""Giving money back: never more than was charged, and not always for good."""

from app.sandbox.billing import disputing, settings
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, invalid, wrong_state
from app.sandbox.core.sandbox import Sandbox

_HOUR = 3_600
_FAILS = "5126"
_PENDS = "7726"
"""The last four digits of Stripe's test cards whose refunds fail, or take their time."""


def make(sandbox: Sandbox, charge: Doc, amount: int | None, more: Doc) -> Doc:
    """Refund a charge, in whole or in part."""
    if not charge["paid"]:
        raise wrong_state(f"Charge {charge['id']} has failed and cannot be refunded.")
    dispute = disputing.of_charge(sandbox, charge["id"])
    if dispute is not None and not dispute["is_charge_refundable"]:
        raise wrong_state(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            "charge_disputed",
        )
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise wrong_state(f"Charge {charge['id']} has already been refunded.",
                          "charge_already_refunded")  # fmt: skip
    amount = left if amount is None else amount
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            "amount",
        )
    refund = sandbox.add(_blank(sandbox, charge, amount, more))
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    sandbox.save(charge)
    sandbox.emit("refund.created", refund)
    sandbox.emit("charge.refunded", charge)
    _plan(sandbox, charge, refund)
    if dispute is not None and charge["refunded"]:
        # What an inquiry was about has been given back, so the bank asks no more.
        disputing.close(sandbox, dispute, "warning_closed")
    return refund


def _plan(sandbox: Sandbox, charge: Doc, refund: Doc) -> None:
    last4 = charge["payment_method_details"].get("card", {}).get("last4")
    if last4 in (_FAILS, _PENDS):
        refund["_fate"] = "failed" if last4 == _FAILS else "succeeded"
        sandbox.save(refund)
        sandbox.wake(refund, sandbox.now() + _HOUR)
    elif refund["status"] == "pending":
        refund["_fate"] = "succeeded"
        sandbox.save(refund)
        sandbox.wake(refund, sandbox.now() + settings.of(sandbox).delayed_days * DAY)


def settle(sandbox: Sandbox, refund: Doc, status: str) -> Doc:
    """The bank has answered: the money arrived, or came back to the account."""
    if refund["status"] not in ("pending", "succeeded") or refund["status"] == status:
        raise Refusal(f"This refund is {refund['status']} and cannot become {status}.")
    refund["status"] = status
    refund.pop("pending_reason", None)
    if status == "failed":
        refund["failure_reason"] = "expired_or_canceled_card"
        refund["failure_balance_transaction"] = ids.new("txn")
        charge = sandbox.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        sandbox.save(charge)
    sandbox.save(refund, "refund.updated")
    sandbox.wake(refund, None)
    sandbox.emit("charge.refund.updated", refund)
    if status == "failed":
        sandbox.emit("refund.failed", refund)
    return refund


def keep_appointment(sandbox: Sandbox, refund: Doc) -> None:
    if refund["status"] in ("pending", "succeeded") and refund["status"] != refund["_fate"]:
        settle(sandbox, refund, refund["_fate"])


def _blank(sandbox: Sandbox, charge: Doc, amount: int, more: Doc) -> Doc:
    details = charge["payment_method_details"]
    kind = details["type"]
    pending = kind != "card" or details["card"]["last4"] == _PENDS
    reference = {
        "reference": "0" * 16,
        "reference_status": "available",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {
        "id": ids.new("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": ids.new("txn"),
        "charge": charge["id"],
        "created": sandbox.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"type": kind, kind: reference if kind == "card" else {}},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if pending else "succeeded",
        "transfer_reversal": None,
        **({"pending_reason": "processing"} if pending else {}),
        **more,
    }
