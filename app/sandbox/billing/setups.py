"""Saving a method for later payments, without one now."""

from app.sandbox.billing import charging
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox, public

_FAILURE: Doc = {
    "type": "invalid_request_error",
    "code": "setup_intent_authentication_failure",
    "message": "We are unable to authenticate your payment method. Please choose a different "
    "payment method and try again.",
    "doc_url": "https://docs.stripe.com/error-codes/setup-intent-authentication-failure",
}


def begin(sandbox: Sandbox, customer: str | None, usage: str = "off_session") -> Doc:
    """A setup intent that waits for a method."""
    name = ids.new("seti")
    return sandbox.add(
        {
            "id": name,
            "object": "setup_intent",
            "allowed_payment_method_types": None,
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": f"{name}_secret_{ids.token(24)}",
            "created": sandbox.now(),
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card", "sepa_debit", "us_bank_account"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": usage,
        },
        "setup_intent.created",
    )


def confirm(sandbox: Sandbox, intent: Doc, method: Doc) -> None:
    """Save a method, or ask its holder to confirm that first."""
    intent.update(payment_method=method["id"], last_setup_error=None)
    if not charging.must_authenticate(method, on_session=True):
        succeed(sandbox, intent)
        return
    page = f"{sandbox.config.base_url}/3ds/{intent['id']}"
    intent.update(
        status="requires_action",
        next_action={
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": None, "url": page},
        },
    )
    sandbox.save(intent)
    sandbox.emit("setup_intent.requires_action", intent)


def succeed(sandbox: Sandbox, intent: Doc) -> None:
    """The method may be charged from now on."""
    method = sandbox.get("payment_method", intent["payment_method"])
    method["_set_up"] = True
    sandbox.save(method)
    intent.update(status="succeeded", next_action=None)
    sandbox.save(intent)
    sandbox.emit("setup_intent.succeeded", intent)


def refuse(sandbox: Sandbox, intent: Doc, error: Doc = _FAILURE) -> None:
    """The holder did not confirm, or the card said no."""
    method = sandbox.find("payment_method", intent["payment_method"])
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error={**error, "payment_method": public(method)},
    )
    sandbox.save(intent)
    sandbox.emit("setup_intent.setup_failed", intent)


def cancel(sandbox: Sandbox, intent: Doc, reason: str | None) -> None:
    intent.update(status="canceled", next_action=None, cancellation_reason=reason)
    sandbox.save(intent)
    sandbox.emit("setup_intent.canceled", intent)
