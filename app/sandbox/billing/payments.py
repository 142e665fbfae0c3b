"""Payment intents and charges behind an invoice."""

from app.sandbox.billing.cards import MESSAGES
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def new_intent(
    sandbox: Sandbox, amount: int, currency: str, customer: str | None, description: str | None
) -> Doc:
    """A payment intent that waits for a card; not yet kept."""
    intent = ids.new("pi")
    return {
        "id": intent,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{intent}_secret_{ids.token(24)}",
        "confirmation_method": "automatic",
        "created": sandbox.now(),
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": description,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": "off_session",
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def prepare(sandbox: Sandbox, invoice: Doc) -> None:
    """Give a final invoice the payment intent it will be paid through."""
    intent = new_intent(
        sandbox,
        invoice["amount_due"],
        invoice["currency"],
        invoice["customer"],
        f"Payment for invoice {invoice['number']}",
    )
    sandbox.add(intent, "payment_intent.created")
    sandbox.add(
        {
            "id": ids.new("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": sandbox.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def of_invoice(sandbox: Sandbox, invoice: str) -> list[Doc]:
    """The payments of an invoice, newest first."""
    return sandbox.all("invoice_payment", invoice=invoice)


def pay(sandbox: Sandbox, invoice: Doc, method: Doc) -> Doc | None:
    """Charge a card for an invoice; nothing means it worked, else the payment error."""
    payment = of_invoice(sandbox, invoice["id"])[0]
    intent = sandbox.get("payment_intent", payment["payment"]["payment_intent"])
    error = confirm(sandbox, intent, method)
    if error is not None:
        return error
    payment["status"] = "paid"
    payment["amount_paid"] = intent["amount"]
    payment["status_transitions"]["paid_at"] = sandbox.now()
    sandbox.save(payment)
    sandbox.emit("invoice_payment.paid", payment)
    return None


def confirm(sandbox: Sandbox, intent: Doc, method: Doc) -> Doc | None:
    """Charge a card for a payment intent; nothing means it worked, else the payment error."""
    intent["payment_method"] = method["id"]
    charge = _charge(sandbox, intent, method)
    intent["latest_charge"] = charge["id"]
    if charge["paid"]:
        intent.update(status="succeeded", amount_received=intent["amount"], last_payment_error=None)
        sandbox.add(charge, "charge.succeeded")
        sandbox.save(intent)
        sandbox.emit("payment_intent.succeeded", intent)
        return None
    error: Doc = {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": charge["outcome"]["reason"],
        "message": charge["failure_message"],
        "charge": charge["id"],
        "doc_url": "https://docs.stripe.com/error-codes/card-declined",
    }
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        last_payment_error={**error, "payment_method": _public_method(method)},
    )
    sandbox.add(charge, "charge.failed")
    sandbox.save(intent)
    sandbox.emit("payment_intent.payment_failed", intent)
    return error


def give_up(sandbox: Sandbox, invoice: Doc) -> None:
    """Cancel what an invoice was to be paid through."""
    for payment in of_invoice(sandbox, invoice["id"]):
        if payment["status"] != "open":
            continue
        payment["status"] = "canceled"
        payment["status_transitions"]["canceled_at"] = sandbox.now()
        sandbox.save(payment)
        if payment["payment"]["type"] != "payment_intent":
            continue
        intent = sandbox.get("payment_intent", payment["payment"]["payment_intent"])
        intent.update(
            status="canceled", canceled_at=sandbox.now(), cancellation_reason="void_invoice"
        )
        sandbox.save(intent)
        sandbox.emit("payment_intent.canceled", intent)


def _charge(sandbox: Sandbox, intent: Doc, method: Doc) -> Doc:
    reason = method["_decline_code"]
    paid = reason is None
    charge = ids.new("ch")
    card = {key: value for key, value in method["card"].items() if key in _CHARGED_CARD}
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
        "captured": paid,
        "created": sandbox.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if paid else "card_declined",
        "failure_message": None if paid else MESSAGES[reason],
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network" if paid else "declined_by_network",
            "reason": reason,
            "risk_level": "normal",
            "seller_message": "Payment complete."
            if paid
            else "The bank did not return any further details with this decline.",
            "type": "authorized" if paid else "issuer_declined",
        },
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "type": "card",
            "card": {
                **card,
                "amount_authorized": intent["amount"],
                "authorization_code": None,
                "installments": None,
                "mandate": None,
                "network": card["brand"],
                "three_d_secure": None,
            },
        },
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }


_CHARGED_CARD = {
    "brand",
    "checks",
    "country",
    "exp_month",
    "exp_year",
    "fingerprint",
    "funding",
    "last4",
    "regulated_status",
    "wallet",
}


def _public_method(method: Doc) -> Doc:
    return {key: value for key, value in method.items() if not key.startswith("_")}
