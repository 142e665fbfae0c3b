"""Collecting an invoice, and what paying or failing to pay does to its subscription."""

from app.sandbox.billing import invoicing, payments, standing
from app.sandbox.config import DAY
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def collect(sandbox: Sandbox, invoice: Doc, method: Doc | None, *, plans_retry: bool) -> Doc | None:
    """Try to be paid for an open invoice; nothing means it is settled, else the error.

    A retry is planned only for attempts that nobody is waiting for.
    """
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    error = payments.pay(sandbox, invoice, method) if method is not None else _NO_METHOD
    if error is None:
        invoicing.mark_paid(sandbox, invoice)
        settled(sandbox, invoice)
        return None
    days = sandbox.config.payment_retry_days
    failures = invoice["attempt_count"]
    due = None
    if plans_retry and failures <= len(days):
        due = sandbox.now() + days[failures - 1] * DAY
    invoice["next_payment_attempt"] = due
    sandbox.save(invoice)
    sandbox.emit("invoice.payment_failed", invoice)
    sandbox.wake(invoice, due)
    _failed(sandbox, invoice, final=plans_retry and due is None)
    return error


_NO_METHOD: Doc = {
    "type": "invalid_request_error",
    "code": "resource_missing",
    "message": "This customer has no attached payment source or default payment method.",
}


def settled(sandbox: Sandbox, invoice: Doc) -> None:
    """A paid invoice brings its subscription back, or brings it to life."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is None or subscription["status"] in standing.TERMINAL:
        return
    if subscription["pending_update"] and subscription["_pending_invoice"] == invoice["id"]:
        standing.apply_pending(sandbox, subscription)
    elif subscription.get("_resuming", {}).get("invoice") == invoice["id"]:
        standing.come_back(sandbox, subscription)
    elif (
        subscription["status"] in ("incomplete", "past_due", "unpaid")
        and subscription["latest_invoice"] == invoice["id"]
    ):
        subscription["status"] = "active"
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def _failed(sandbox: Sandbox, invoice: Doc, *, final: bool) -> None:
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is None or subscription.get("_pending_invoice") == invoice["id"]:
        return
    if subscription["status"] == "active":
        subscription["status"] = "past_due"
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    if final and subscription["status"] == "past_due":
        _exhausted(sandbox, subscription)


def _exhausted(sandbox: Sandbox, subscription: Doc) -> None:
    """Every attempt failed; the account's setting says what follows."""
    fate = sandbox.config.after_retries
    if fate == "cancel":
        standing.end(sandbox, subscription, "payment_failed")
    elif fate == "unpaid":
        subscription["status"] = "unpaid"
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def keep_appointment(sandbox: Sandbox, invoice: Doc) -> None:
    """A draft is finalized an hour after it was made; an open invoice is tried again."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if not invoice["auto_advance"]:
        return
    if invoice["status"] == "draft":
        if subscription is not None and subscription["status"] == "unpaid":
            return
        invoicing.finalize(sandbox, invoice)
        if invoice["status"] == "paid":
            settled(sandbox, invoice)
    if invoice["status"] == "open":
        customer = sandbox.get("customer", invoice["customer"])
        method = standing.method_for(sandbox, subscription, customer)
        collect(sandbox, invoice, method, plans_retry=True)
