"""A subscription's standing: its status, when it must next be looked at, its end."""

from app.sandbox.billing import settings
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

DAY = 86_400
HOUR = 3_600
TERMINAL = ("canceled", "incomplete_expired")
PENDING_SECONDS = 23 * HOUR
TRIAL_NOTICE_SECONDS = 3 * DAY


def keep(sandbox: Sandbox, subscription: Doc, event: str | None) -> None:
    """Save a subscription and make its next appointment."""
    sandbox.save(subscription, event)
    sandbox.wake(subscription, next_due(sandbox, subscription))


def period_end(subscription: Doc) -> int:
    """The end of the longest current period: when a cancellation at period end falls."""
    return max(int(item["current_period_end"]) for item in subscription["items"]["data"])


def renewal_due(subscription: Doc) -> int:
    """When the first of its items must be billed again."""
    return min(int(item["current_period_end"]) for item in subscription["items"]["data"])


def upcoming_seconds(sandbox: Sandbox) -> int:
    """How long before a renewal its invoice is announced."""
    return settings.of(sandbox).upcoming_days * DAY


def next_due(sandbox: Sandbox, subscription: Doc) -> int | None:
    """The next instant at which something happens to a subscription by itself."""
    status = subscription["status"]
    if status in TERMINAL:
        return None
    if status == "incomplete":
        return int(subscription["created"]) + PENDING_SECONDS
    due: list[int] = []
    if subscription["pending_update"]:
        due.append(subscription["pending_update"]["expires_at"])
    if subscription["cancel_at"] is not None:
        due.append(subscription["cancel_at"])
    if status == "paused":
        if "_resuming" in subscription:
            due.append(subscription["_resuming"]["expires_at"])
        return min(due, default=None)
    held = subscription["pause_collection"]
    if held and held["resumes_at"] is not None:
        due.append(held["resumes_at"])
    end = renewal_due(subscription)
    due.append(end)
    if status == "trialing" and not subscription.get("_trial_notice_sent"):
        due.append(max(subscription["trial_end"] - TRIAL_NOTICE_SECONDS, sandbox.now()))
    if subscription.get("_upcoming_sent_for") != end and subscription["cancel_at"] is None:
        due.append(max(end - upcoming_seconds(sandbox), sandbox.now()))
    if (schedule := schedule_of(sandbox, subscription)) is not None:
        due.append(schedule["current_phase"]["end_date"])
    return min(due)


def schedule_of(sandbox: Sandbox, subscription: Doc) -> Doc | None:
    """The schedule that steers a subscription, while it does."""
    if subscription["schedule"] is None:
        return None
    schedule = sandbox.find("subscription_schedule", subscription["schedule"])
    return schedule if schedule and schedule["status"] == "active" else None


def end(sandbox: Sandbox, subscription: Doc, reason: str, details: Doc | None = None) -> None:
    """Cancel now and for good; drafts and open invoices stop being collected."""
    now = sandbox.now()
    subscription["status"] = "canceled"
    subscription["ended_at"] = now
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["pending_update"] = None
    subscription["cancellation_details"] = {
        **subscription["cancellation_details"],
        "reason": reason,
        **(details or {}),
    }
    if (schedule := schedule_of(sandbox, subscription)) is not None:
        schedule.update(status="canceled", canceled_at=now, current_phase=None)
        sandbox.save(schedule)
        sandbox.emit("subscription_schedule.canceled", schedule)
    for invoice in sandbox.all("invoice", customer=subscription["customer"]):
        of = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
        is_unpaid = invoice["status"] in ("draft", "open") and not invoice.get("_is_last")
        if of == subscription["id"] and is_unpaid:
            invoice.update(
                auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None
            )
            sandbox.save(invoice, "invoice.updated")
            sandbox.wake(invoice, None)
    keep(sandbox, subscription, None)
    sandbox.emit("customer.subscription.deleted", subscription)


def pause(sandbox: Sandbox, subscription: Doc, why: str) -> None:
    """Stop billing and serving until it is resumed."""
    subscription["status"] = "paused"
    subscription["status_details"] = {
        "paused": {
            "type": "subscription",
            "subscription": {"type": why},
            "transitioned_at": sandbox.now(),
        }
    }
    keep(sandbox, subscription, "customer.subscription.updated")
    sandbox.emit("customer.subscription.paused", subscription)


def apply_pending(sandbox: Sandbox, subscription: Doc) -> None:
    """The change that waited for its payment takes effect."""
    waited = subscription.pop("_pending_told", False)
    subscription.update(subscription.pop("_pending"))
    subscription.pop("_pending_invoice")
    subscription["pending_update"] = None
    keep(sandbox, subscription, "customer.subscription.updated")
    if waited:
        sandbox.emit("customer.subscription.pending_update_applied", subscription)


def drop_pending(sandbox: Sandbox, subscription: Doc) -> None:
    """The change was not paid in time."""
    subscription.pop("_pending_told", None)
    subscription.pop("_pending")
    subscription.pop("_pending_invoice")
    subscription["pending_update"] = None
    keep(sandbox, subscription, "customer.subscription.updated")
    sandbox.emit("customer.subscription.pending_update_expired", subscription)


def come_back(sandbox: Sandbox, subscription: Doc) -> None:
    """The pause is over."""
    subscription.update(subscription.pop("_resuming")["after"])
    keep(sandbox, subscription, "customer.subscription.updated")
    sandbox.emit("customer.subscription.resumed", subscription)


def method_for(sandbox: Sandbox, subscription: Doc | None, customer: Doc) -> Doc | None:
    """The card a charge goes to: the subscription's own, else the customer's default."""
    chosen = subscription["default_payment_method"] if subscription else None
    chosen = chosen or customer["invoice_settings"]["default_payment_method"]
    method = sandbox.find("payment_method", chosen) if chosen else None
    return method if method is not None and method["customer"] == customer["id"] else None
