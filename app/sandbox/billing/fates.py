"""What a debt does to a subscription: late, given up, paused, or forgiven."""

from app.sandbox.billing import invoicing, settings, standing
from app.sandbox.config import DAY
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

_PAUSED = "subscription_paused"
_LATE = ("past_due", "unpaid")


def payment_failed(sandbox: Sandbox, invoice: Doc, *, is_planned: bool, is_last: bool) -> None:
    """An attempt did not work; *is_planned* if it was one of the account's own."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is None or subscription.get("_pending_invoice") == invoice["id"]:
        return
    if subscription["status"] == "active":
        if is_planned and settings.of(sandbox).pause_on_first_failure:
            invoicing.give_up(sandbox, invoice, _PAUSED)
            standing.pause(sandbox, subscription, "first_payment_failure")
            return
        subscription["status"] = "past_due"
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    if is_planned and is_last and subscription["status"] == "past_due":
        _give_up(sandbox, subscription, invoice)


def _give_up(sandbox: Sandbox, subscription: Doc, invoice: Doc) -> None:
    """Every attempt failed; the account's setting says what follows."""
    fate = settings.of(sandbox).after_retries
    if fate == "cancel":
        standing.end(sandbox, subscription, "payment_failed")
    elif fate == "unpaid":
        subscription["status"] = "unpaid"
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    elif fate == "pause":
        invoicing.give_up(sandbox, invoice, _PAUSED)
        standing.pause(sandbox, subscription, "final_payment_failure")


def let_off(sandbox: Sandbox, invoice: Doc, behavior: str) -> None:
    """An invoice that falls in a time in which nobody has to pay."""
    if behavior == "void":
        invoicing.void(sandbox, invoice)
    elif behavior == "mark_uncollectible":
        invoicing.give_up(sandbox, invoice, _PAUSED)
    else:
        invoice["auto_advance"] = False
        sandbox.save(invoice)
        sandbox.wake(invoice, None)


def debt_gone(sandbox: Sandbox, subscription: Doc, invoice: Doc) -> None:
    """Its newest invoice is paid or no longer owed, so a late subscription is well again."""
    if subscription["status"] in _LATE and subscription["latest_invoice"] == invoice["id"]:
        subscription["status"] = "active"
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def written_off(sandbox: Sandbox, invoice: Doc) -> None:
    """An invoice was voided or given up: nobody waits for its payment any more."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if subscription is None or subscription["status"] in standing.TERMINAL:
        return
    if subscription.get("_pending_invoice") == invoice["id"]:
        standing.drop_pending(sandbox, subscription)
    elif subscription.get("_resuming", {}).get("invoice") == invoice["id"]:
        subscription.pop("_resuming")
        standing.keep(sandbox, subscription, None)
    elif subscription["status"] == "incomplete":
        subscription.update(status="incomplete_expired", ended_at=sandbox.now())
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    else:
        debt_gone(sandbox, subscription, invoice)


def send(sandbox: Sandbox, invoice: Doc) -> None:
    """An invoice goes out by mail and waits until it is due."""
    sandbox.emit("invoice.sent", invoice)
    sandbox.wake(invoice, invoice["due_date"])


def overdue(sandbox: Sandbox, invoice: Doc) -> None:
    """A sent invoice was not paid when it was due; later the account's setting applies."""
    subscription = invoicing.subscription_of(sandbox, invoice)
    if not invoice.get("_overdue"):
        invoice["_overdue"] = True
        sandbox.save(invoice)
        sandbox.emit("invoice.overdue", invoice)
        sandbox.wake(invoice, sandbox.now() + settings.of(sandbox).overdue_days * DAY)
        if subscription is not None and subscription["status"] == "active":
            subscription["status"] = "past_due"
            standing.keep(sandbox, subscription, "customer.subscription.updated")
    elif subscription is not None and subscription["status"] == "past_due":
        _give_up(sandbox, subscription, invoice)
