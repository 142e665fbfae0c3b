"""Charging a method for a payment intent: it works, waits for its holder or its bank, or fails."""

from dataclasses import dataclass

from app.sandbox.billing import settings
from app.sandbox.billing.cards import CODES, MESSAGES
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox, public


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: `succeeded`, `processing`, `requires_action` or `failed`."""

    status: str
    error: Doc | None = None


def confirm(
    sandbox: Sandbox, intent: Doc, method: Doc, *, on_session: bool, authenticated: bool = False
) -> Outcome:
    """Attempt a payment with a card or an account."""
    intent.update(payment_method=method["id"], next_action=None)
    if method["type"] not in intent["payment_method_types"]:
        intent["payment_method_types"] = [*intent["payment_method_types"], method["type"]]
    if not authenticated and must_authenticate(method, on_session):
        return _ask(sandbox, intent)
    charge = _charge(sandbox, intent, method, authenticated)
    intent["latest_charge"] = charge["id"]
    if method["type"] != "card":
        return _wait_for_bank(sandbox, intent, charge)
    if not charge["paid"]:
        sandbox.add(charge, "charge.failed")
        return _fail(sandbox, intent, decline(method, charge["id"]), method)
    _keep(sandbox, intent, method, authenticated)
    sandbox.add(charge, "charge.succeeded")
    return _succeed(sandbox, intent)


def _keep(sandbox: Sandbox, intent: Doc, method: Doc, authenticated: bool) -> None:
    """A method that worked is kept for later payments, if the intent asks for that."""
    if authenticated:
        method["_set_up"] = True
    is_new = method["customer"] is None and intent["customer"] is not None
    if is_new and intent["setup_future_usage"]:
        method["customer"] = intent["customer"]
        sandbox.save(method)
        sandbox.emit("payment_method.attached", method)
    sandbox.save(method)


def must_authenticate(method: Doc, on_session: bool) -> bool:
    """Whether a holder has to confirm a payment before it is made."""
    when = method.get("_authenticates", "never")
    if when == "until_set_up":
        return not method.get("_set_up")
    return bool(when == "always" or (when == "on_session" and on_session))


def decline(method: Doc, charge: str | None = None) -> Doc:
    """The error of a card that says no."""
    reason = method["_decline_code"] or "generic_decline"
    code = CODES.get(reason, "card_declined")
    error: Doc = {"type": "card_error", "code": code, "message": MESSAGES[reason]}
    if code == "card_declined":
        error["decline_code"] = reason
    if charge is not None:
        error["charge"] = charge
    return {**error, "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"}


def refuse(sandbox: Sandbox, intent: Doc) -> Outcome:
    """The holder did not confirm the payment."""
    method = sandbox.find("payment_method", intent["payment_method"])
    error: Doc = {
        "type": "invalid_request_error",
        "code": "payment_intent_authentication_failure",
        "message": "We are unable to authenticate your payment method. Please choose a different "
        "payment method and try again.",
        "doc_url": "https://docs.stripe.com/error-codes/payment-intent-authentication-failure",
    }
    return _fail(sandbox, intent, error, method)


def arrive(sandbox: Sandbox, intent: Doc) -> Outcome:
    """A bank has answered: the debit went through, or came back."""
    method = sandbox.get("payment_method", intent["payment_method"])
    charge = sandbox.get("charge", intent["latest_charge"])
    if method["_settles"] and method["_decline_code"] is None:
        charge.update(
            status="succeeded",
            paid=True,
            amount_captured=charge["amount"],
            balance_transaction=ids.new("txn"),
        )
        sandbox.save(charge)
        sandbox.emit("charge.succeeded", charge)
        return _succeed(sandbox, intent)
    message = "The customer's bank account could not be debited: insufficient funds."
    charge.update(
        status="failed", failure_code="insufficient_funds", failure_message=message, captured=False
    )
    charge["outcome"].update(type="issuer_declined", network_status="declined_by_network")
    sandbox.save(charge)
    sandbox.emit("charge.failed", charge)
    error: Doc = {
        "type": "card_error",
        "code": "payment_method_provider_decline",
        "decline_code": "insufficient_funds",
        "message": message,
        "charge": charge["id"],
    }
    return _fail(sandbox, intent, error, method)


def _ask(sandbox: Sandbox, intent: Doc) -> Outcome:
    page = f"{sandbox.config.base_url}/3ds/{intent['id']}"
    intent.update(
        status="requires_action",
        next_action={
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": None, "url": page},
        },
    )
    sandbox.save(intent)
    sandbox.emit("payment_intent.requires_action", intent)
    return Outcome("requires_action")


def _wait_for_bank(sandbox: Sandbox, intent: Doc, charge: Doc) -> Outcome:
    sandbox.add(charge, "charge.pending")
    intent.update(status="processing", last_payment_error=None)
    sandbox.save(intent)
    sandbox.emit("payment_intent.processing", intent)
    sandbox.wake(intent, sandbox.now() + settings.of(sandbox).delayed_days * DAY)
    return Outcome("processing")


def _succeed(sandbox: Sandbox, intent: Doc) -> Outcome:
    intent.update(status="succeeded", amount_received=intent["amount"], last_payment_error=None)
    sandbox.save(intent)
    sandbox.emit("payment_intent.succeeded", intent)
    return Outcome("succeeded")


def _fail(sandbox: Sandbox, intent: Doc, error: Doc, method: Doc | None) -> Outcome:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error={**error, "payment_method": public(method)},
    )
    sandbox.save(intent)
    sandbox.emit("payment_intent.payment_failed", intent)
    return Outcome("failed", error)


def _charge(sandbox: Sandbox, intent: Doc, method: Doc, authenticated: bool) -> Doc:
    """What a method is charged; a bank debit is pending until its bank has answered."""
    delayed = method["type"] != "card"
    reason = None if delayed else method["_decline_code"]
    paid = reason is None and not delayed
    charge = ids.new("ch")
    return {
        "id": charge,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": ids.new("txn") if paid else None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": paid or delayed,
        "created": sandbox.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": CODES.get(reason, "card_declined") if reason else None,
        "failure_message": MESSAGES[reason] if reason else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network" if reason else "approved_by_network",
            "reason": reason,
            "risk_level": "not_assessed" if delayed else "normal",
            "seller_message": "The bank did not return any further details with this decline."
            if reason
            else "Payment complete.",
            "type": "issuer_declined" if reason else "authorized",
        },
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(intent, method, authenticated),
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending" if delayed else "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
        "_dispute": method.get("_disputes") if paid else None,
    }


def _details(intent: Doc, method: Doc, authenticated: bool) -> Doc:
    kind = method["type"]
    held = {key: value for key, value in method[kind].items() if key in _CHARGED[kind]}
    if kind == "us_bank_account":
        return {"type": kind, kind: {**held, "payment_reference": None}}
    if kind == "sepa_debit":
        return {"type": kind, kind: {**held, "mandate": None}}
    three_d_secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }
    card = {
        **held,
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "installments": None,
        "mandate": None,
        "network": held["brand"],
        "three_d_secure": three_d_secure if authenticated else None,
    }
    return {"type": "card", "card": card}


_CHARGED = {
    "card": ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding",
             "last4", "regulated_status", "wallet"),
    "us_bank_account": ("account_holder_type", "account_type", "bank_name", "fingerprint",
                        "last4", "routing_number"),
    "sepa_debit": ("bank_code", "branch_code", "country", "fingerprint", "last4"),
}  # fmt: skip
