"""Payment intents behind an invoice."""

from app.sandbox.billing import charging
from app.sandbox.billing.charging import Outcome
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
    """Give a final invoice the payment intent it will be paid through.

    A checkout may have one already: the one whose payer was asked to confirm it.
    """
    if (begun := invoice.pop("_intent", None)) is not None:
        intent = sandbox.get("payment_intent", begun)
        intent.update(
            amount=invoice["amount_due"], customer=invoice["customer"], _invoice=invoice["id"]
        )
        sandbox.save(intent)
    else:
        intent = new_intent(
            sandbox,
            invoice["amount_due"],
            invoice["currency"],
            invoice["customer"],
            f"Payment for invoice {invoice['number']}",
        )
        intent["_invoice"] = invoice["id"]
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


def intent_of(sandbox: Sandbox, invoice: str) -> Doc | None:
    """The payment intent an invoice is paid through."""
    for payment in of_invoice(sandbox, invoice):
        if payment["payment"]["type"] == "payment_intent":
            return sandbox.get("payment_intent", payment["payment"]["payment_intent"])
    return None


def invoice_of(sandbox: Sandbox, intent: Doc) -> Doc | None:
    """The invoice a payment intent pays for."""
    name = intent.get("_invoice")
    return sandbox.find("invoice", name) if name else None


def pay(
    sandbox: Sandbox, invoice: Doc, method: Doc, *, on_session: bool, authenticated: bool = False
) -> Outcome:
    """Charge a method for an invoice."""
    intent = intent_of(sandbox, invoice["id"])
    assert intent is not None
    return charging.confirm(
        sandbox, intent, method, on_session=on_session, authenticated=authenticated
    )


def record_paid(sandbox: Sandbox, invoice: Doc) -> None:
    """The payment intent has paid its invoice."""
    for payment in of_invoice(sandbox, invoice["id"])[:1]:
        payment["status"] = "paid"
        payment["amount_paid"] = payment["amount_requested"]
        payment["status_transitions"]["paid_at"] = sandbox.now()
        sandbox.save(payment)
        sandbox.emit("invoice_payment.paid", payment)


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
            status="canceled",
            canceled_at=sandbox.now(),
            cancellation_reason="void_invoice",
            next_action=None,
        )
        sandbox.save(intent)
        sandbox.wake(intent, None)
        sandbox.emit("payment_intent.canceled", intent)
