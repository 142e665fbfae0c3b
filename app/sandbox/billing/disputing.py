"""Disputes and inquiries: a holder's bank takes the money back, or asks first."""

from app.sandbox.billing import settings, standing
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, wrong_state
from app.sandbox.core.sandbox import Sandbox

REASONS = (
    "credit_not_processed",
    "duplicate",
    "fraudulent",
    "general",
    "product_not_received",
    "product_unacceptable",
    "subscription_canceled",
    "unrecognized",
)
EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
_TO_ANSWER = 9 * DAY
_INQUIRY_LASTS = 120 * DAY
_FEE = 1_500
_VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost"}
"""Stripe's test texts, and how a dispute ends that is answered with them."""


def on_event(sandbox: Sandbox, event: Doc, about: Doc) -> None:
    """A payment went through; some cards' holders dispute it at once."""
    if event["type"] == "charge.succeeded" and about.get("_dispute"):
        # In a unit of its own: the payment is still being recorded.
        sandbox.wake(about, sandbox.now())


def keep_charge(sandbox: Sandbox, charge: Doc) -> None:
    """The holder of a card that disputes its payments goes to the bank."""
    why = charge.pop("_dispute", None)
    if why is not None:
        open_(sandbox, charge, "general" if why == "inquiry" else why, inquiry=why == "inquiry")


def open_(
    sandbox: Sandbox, charge: Doc, reason: str, *, inquiry: bool, amount: int | None = None
) -> Doc:
    """Dispute a charge, or with an inquiry only ask about it."""
    if not charge["paid"] or charge["refunded"]:
        raise wrong_state(f"Charge {charge['id']} holds no money that could be disputed.")
    if of_charge(sandbox, charge["id"]) is not None:
        raise wrong_state(f"Charge {charge['id']} is disputed already.")
    dispute = sandbox.add(_blank(sandbox, charge, reason, inquiry, amount))
    charge["disputed"] = True
    sandbox.emit("charge.dispute.created", dispute)
    sandbox.save(charge, "charge.updated")
    if inquiry:
        sandbox.wake(dispute, sandbox.now() + _INQUIRY_LASTS)
    else:
        _take_money(sandbox, dispute)
    return dispute


def of_charge(sandbox: Sandbox, charge: str) -> Doc | None:
    """The open dispute of a charge."""
    found = sandbox.all("dispute", charge=charge)
    return next((one for one in found if one["status"] in OPEN), None)


def _take_money(sandbox: Sandbox, dispute: Doc) -> None:
    """The bank takes the amount back; the account may end what it was paid for."""
    dispute["is_charge_refundable"] = False
    dispute["balance_transactions"].append(_moved(sandbox, dispute, -1))
    sandbox.save(dispute)
    sandbox.emit("charge.dispute.funds_withdrawn", dispute)
    sandbox.wake(dispute, dispute["evidence_details"]["due_by"])
    if settings.of(sandbox).cancel_on_dispute:
        subscription = _paid_for(sandbox, dispute)
        if subscription is not None and subscription["status"] not in standing.TERMINAL:
            standing.end(sandbox, subscription, "payment_disputed")


def _paid_for(sandbox: Sandbox, dispute: Doc) -> Doc | None:
    for payment in sandbox.all("invoice_payment"):
        if payment["payment"].get("payment_intent") == dispute["payment_intent"]:
            parent = sandbox.get("invoice", payment["invoice"])["parent"] or {}
            details = parent.get("subscription_details") or {}
            return sandbox.find("subscription", details["subscription"]) if details else None
    return None


def escalate(sandbox: Sandbox, dispute: Doc) -> Doc:
    """An inquiry that was not answered well becomes a dispute."""
    if not dispute["status"].startswith("warning_") or dispute["status"] not in OPEN:
        raise wrong_state("Only an open inquiry can become a dispute.")
    dispute["status"] = "needs_response"
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    dispute["evidence_details"].update(due_by=sandbox.now() + _TO_ANSWER, submission_count=0)
    sandbox.save(dispute, "charge.dispute.updated")
    _take_money(sandbox, dispute)
    return dispute


def answer(sandbox: Sandbox, dispute: Doc, evidence: Doc, *, submit: bool) -> None:
    """Stage evidence, and hand it to the bank if told so."""
    require_open(dispute)
    dispute["evidence"].update({key: value or None for key, value in evidence.items()})
    details = dispute["evidence_details"]
    details["has_evidence"] = any(dispute["evidence"][key] for key in EVIDENCE)
    if submit:
        details["submission_count"] += 1
        warning = dispute["status"].startswith("warning_")
        dispute["status"] = "warning_under_review" if warning else "under_review"
        if not warning:
            sandbox.wake(dispute, None)


def decide(sandbox: Sandbox, dispute: Doc) -> None:
    """What a bank makes of Stripe's own test texts."""
    verdict = _VERDICTS.get(dispute["evidence"]["uncategorized_text"] or "")
    if verdict and dispute["status"] in ("under_review", "warning_under_review"):
        warning = dispute["status"].startswith("warning_")
        close(sandbox, dispute, "warning_closed" if warning else verdict)


def close(sandbox: Sandbox, dispute: Doc, status: str) -> Doc:
    """It is over: won, lost, or an inquiry that came to nothing."""
    require_open(dispute)
    if dispute["status"].startswith("warning_") != (status == "warning_closed"):
        raise wrong_state("An inquiry ends as warning_closed, a dispute as won or lost.")
    dispute["status"] = status
    if status == "won":
        dispute["is_charge_refundable"] = True
        dispute["balance_transactions"].append(_moved(sandbox, dispute, 1))
    sandbox.save(dispute)
    sandbox.wake(dispute, None)
    sandbox.emit("charge.dispute.closed", dispute)
    if status == "won":
        sandbox.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def require_open(dispute: Doc) -> None:
    if dispute["status"] not in OPEN:
        raise Refusal(f"This dispute is already closed: {dispute['status']}.")


def keep_appointment(sandbox: Sandbox, dispute: Doc) -> None:
    """Nobody answered in time: a dispute is lost, an inquiry is forgotten."""
    if dispute["status"] == "needs_response":
        dispute["evidence_details"]["past_due"] = True
        close(sandbox, dispute, "lost")
    elif dispute["status"].startswith("warning_") and dispute["status"] in OPEN:
        close(sandbox, dispute, "warning_closed")


def _moved(sandbox: Sandbox, dispute: Doc, sign: int) -> Doc:
    fee = _FEE if sign < 0 else 0
    amount, currency = sign * dispute["amount"], dispute["currency"]
    return {
        "id": ids.new("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": sandbox.now(),
        "balance_type": "payments",
        "created": sandbox.now(),
        "currency": currency,
        "description": f"Chargeback {'withdrawal' if sign < 0 else 'reversal'} "
        f"for {dispute['charge']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [
            {
                "amount": fee,
                "application": None,
                "currency": currency,
                "description": "Dispute fee",
                "type": "stripe_fee",
            }
        ]
        if fee
        else [],
        "net": amount - fee,
        "reporting_category": "dispute" if sign < 0 else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }


def _blank(sandbox: Sandbox, charge: Doc, reason: str, inquiry: bool, amount: int | None) -> Doc:
    now = sandbox.now()
    card = charge["payment_method_details"].get("card", {"brand": "visa"})
    return {
        "id": ids.new("dp"),
        "object": "dispute",
        "amount": amount or charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + _TO_ANSWER,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": True,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": card["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network_reason_code": "10.4",
            },
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
        # A dispute names no customer, and yet lives by its customer's clock.
        "_customer": charge["customer"],
    }
