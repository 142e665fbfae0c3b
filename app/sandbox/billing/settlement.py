"""Collecting an invoice, and what paying or failing to pay does to its subscription."""

from app.sandbox.billing import (
    charging,
    fates,
    invoicing,
    payments,
    settings,
    standing,
)
from app.sandbox.billing.charging import Outcome
from app.sandbox.config import DAY
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

_NO_METHOD = Outcome(
    "failed",
    {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "message": "This customer has no attached payment source or default payment method.",
    },
)


def collect(
    sandbox: Sandbox,
    invoice: Doc,
    method: Doc | None,
    *,
    plans_retry: bool,
    on_session: bool = False,
    authenticated: bool = False,
) -> Outcome:
    """Try to be paid for an open invoice.

    A retry is planned only for attempts that nobody is waiting for.
    """
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    outcome = _NO_METHOD
    if method is not None:
        outcome = payments.pay(
            sandbox, invoice, method, on_session=on_session, authenticated=authenticated
        )
    if outcome.status == "succeeded":
        _paid(sandbox, invoice)
    elif outcome.status == "processing":
        _processing(sandbox, invoice, plans_retry=plans_retry)
    else:
        event = "payment_action_required" if outcome.error is None else "payment_failed"
        _unpaid(sandbox, invoice, event, plans_retry=plans_retry)
    return outcome


def _paid(sandbox: Sandbox, invoice: Doc) -> None:
    payments.record_paid(sandbox, invoice)
    invoicing.mark_paid(sandbox, invoice)
    settled(sandbox, invoice)


def _processing(sandbox: Sandbox, invoice: Doc, *, plans_retry: bool) -> None:
    """The bank will say in some days; until then a subscription is given the benefit."""
    invoice["next_payment_attempt"] = None
    invoice["_plans_retry"] = plans_retry
    sandbox.save(invoice)
    sandbox.wake(invoice, None)
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is not None and subscription["status"] == "incomplete":
        subscription["status"] = "active"
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def _unpaid(sandbox: Sandbox, invoice: Doc, event: str, *, plans_retry: bool) -> None:
    days = settings.of(sandbox).payment_retry_days
    failures = invoice["attempt_count"]
    due = None
    if plans_retry and failures <= len(days):
        due = sandbox.now() + days[failures - 1] * DAY
    invoice["next_payment_attempt"] = due
    sandbox.save(invoice)
    sandbox.emit(f"invoice.{event}", invoice)
    sandbox.wake(invoice, due)
    fates.payment_failed(sandbox, invoice, is_planned=plans_retry, is_last=due is None)


def settled(sandbox: Sandbox, invoice: Doc) -> None:
    """A paid invoice brings its subscription back, or brings it to life."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is None or subscription["status"] in standing.TERMINAL:
        return
    if subscription["pending_update"] and subscription["_pending_invoice"] == invoice["id"]:
        standing.apply_pending(sandbox, subscription)
    elif subscription.get("_resuming", {}).get("invoice") == invoice["id"]:
        standing.come_back(sandbox, subscription)
    elif subscription["status"] == "incomplete":
        subscription["status"] = "active"
        _keep_method(sandbox, subscription, invoice)
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    else:
        fates.debt_gone(sandbox, subscription, invoice)


def _keep_method(sandbox: Sandbox, subscription: Doc, invoice: Doc) -> None:
    """What the first invoice was paid with, if the subscription asks to keep it."""
    wanted = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    intent = payments.intent_of(sandbox, invoice["id"])
    if wanted and intent is not None and intent["payment_method"]:
        subscription["default_payment_method"] = intent["payment_method"]


def keep_appointment(sandbox: Sandbox, invoice: Doc) -> None:
    """A draft is finalized an hour after it was made; an open invoice is tried again."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    by_mail = invoice["collection_method"] == "send_invoice"
    if not invoice["auto_advance"] and not (by_mail and invoice["status"] == "open"):
        return
    if invoice["status"] == "draft":
        if subscription is not None and subscription["status"] == "unpaid":
            return
        invoicing.finalize(sandbox, invoice)
        if invoice["status"] == "paid":
            settled(sandbox, invoice)
        elif subscription is not None and subscription["pause_collection"]:
            fates.let_off(sandbox, invoice, subscription["pause_collection"]["behavior"])
        elif by_mail:
            fates.send(sandbox, invoice)
            return
    if invoice["status"] != "open":
        return
    if by_mail:
        fates.overdue(sandbox, invoice)
        return
    collect(sandbox, invoice, method_of(sandbox, invoice), plans_retry=True)


def method_of(sandbox: Sandbox, invoice: Doc) -> Doc | None:
    """What an invoice is paid with unless its payer picks something else."""
    customer = sandbox.get("customer", invoice["customer"])
    if (own := invoice["default_payment_method"]) is not None:
        method = sandbox.find("payment_method", own)
        if method is not None and method["customer"] == customer["id"]:
            return method
    return standing.method_for(sandbox, invoicing.subscription_of(sandbox, invoice), customer)


def answer_challenge(sandbox: Sandbox, intent: Doc, *, confirmed: bool) -> Outcome:
    """The holder has confirmed a payment that waited for that, or has not."""
    invoice = payments.invoice_of(sandbox, intent)
    if confirmed:
        method = sandbox.get("payment_method", intent["payment_method"])
        outcome = charging.confirm(sandbox, intent, method, on_session=True, authenticated=True)
    else:
        outcome = charging.refuse(sandbox, intent)
    if invoice is None or invoice["status"] != "open":
        return outcome
    if outcome.status == "succeeded":
        _paid(sandbox, invoice)
    elif outcome.status == "failed":
        # The attempt was counted when it began to wait, and its retry is planned already.
        sandbox.emit("invoice.payment_failed", invoice)
    return outcome


def hear_from_bank(sandbox: Sandbox, intent: Doc) -> None:
    """A delayed payment arrives or comes back, and whoever waits for it is told."""
    if intent["status"] != "processing":
        return
    outcome = charging.arrive(sandbox, intent)
    invoice = payments.invoice_of(sandbox, intent)
    if invoice is None or invoice["status"] != "open":
        return
    arrived = outcome.status == "succeeded"
    if arrived:
        _paid(sandbox, invoice)
    else:
        _unpaid(sandbox, invoice, "payment_failed", plans_retry=invoice.pop("_plans_retry", False))
    for session in sandbox.all("checkout.session", invoice=invoice["id"]):
        # Later attempts of the same invoice are no longer the checkout's business.
        if session["payment_status"] == "unpaid" and not session.get("_answered"):
            session["_answered"] = True
            if arrived:
                session["payment_status"] = "paid"
            sandbox.save(session)
            ending = "succeeded" if arrived else "failed"
            sandbox.emit(f"checkout.session.async_payment_{ending}", session)
