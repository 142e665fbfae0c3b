"""What time does to a subscription: notices, renewals, trial ends, cancellations."""

import copy

from app.sandbox.billing import invoicing, items, schedules, settlement, standing, waiting
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def keep_appointment(sandbox: Sandbox, subscription: Doc) -> None:
    """Do what is due now, the most final thing first, and make the next appointment."""
    now = sandbox.now()
    if subscription["status"] in standing.TERMINAL:
        return
    if subscription["status"] == "incomplete":
        _expire(sandbox, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        finish(sandbox, subscription)
    else:
        _live_on(sandbox, subscription, now)
        if subscription["status"] not in standing.TERMINAL:
            standing.keep(sandbox, subscription, None)


def _live_on(sandbox: Sandbox, subscription: Doc, now: int) -> None:
    pending = subscription["pending_update"]
    if pending and pending["expires_at"] <= now:
        invoice = sandbox.get("invoice", subscription["_pending_invoice"])
        standing.drop_pending(sandbox, subscription)
        invoicing.void(sandbox, invoice)
    if subscription["status"] == "paused":
        _drop_resumption(sandbox, subscription, now)
        return
    held = subscription["pause_collection"]
    if held and held["resumes_at"] is not None and held["resumes_at"] <= now:
        subscription["pause_collection"] = None
        sandbox.save(subscription, "customer.subscription.updated")
    _notify(sandbox, subscription, now)
    if standing.renewal_due(subscription) <= now:
        _renew(sandbox, subscription, now)
    elif schedules.is_due(sandbox, subscription):
        schedules.step_within_period(sandbox, subscription)


def _drop_resumption(sandbox: Sandbox, subscription: Doc, now: int) -> None:
    """The invoice of a resumption was not paid in time."""
    waits = subscription.get("_resuming")
    if waits and waits["expires_at"] <= now:
        invoice = sandbox.get("invoice", waits["invoice"])
        if invoice["status"] == "open":
            invoicing.void(sandbox, invoice)
        subscription.pop("_resuming")


def _notify(sandbox: Sandbox, subscription: Doc, now: int) -> None:
    if _trial_notice_due(subscription, now):
        subscription["_trial_notice_sent"] = True
        sandbox.save(subscription)
        sandbox.emit("customer.subscription.trial_will_end", subscription)
    end = standing.renewal_due(subscription)
    told = subscription.get("_upcoming_sent_for") == end or subscription["cancel_at"] is not None
    if not told and end - standing.upcoming_seconds(sandbox) <= now < end:
        subscription["_upcoming_sent_for"] = end
        sandbox.save(subscription)
        upcoming = next_invoice(sandbox, subscription)
        # An upcoming invoice does not exist yet, so its event has no id to fetch.
        del upcoming["id"]
        sandbox.emit("invoice.upcoming", upcoming)


def _trial_notice_due(subscription: Doc, now: int) -> bool:
    if subscription["status"] != "trialing" or subscription.get("_trial_notice_sent"):
        return False
    end = subscription["trial_end"]
    return bool(end - standing.TRIAL_NOTICE_SECONDS <= now < end)


def next_invoice(sandbox: Sandbox, subscription: Doc) -> Doc:
    """The invoice the coming renewal would make; nothing is kept."""
    ahead = copy.deepcopy(subscription)
    end = standing.renewal_due(ahead)
    schedules.look_ahead(sandbox, ahead, end)
    customer = sandbox.get("customer", ahead["customer"])
    invoice = invoicing.blank(sandbox, customer, "upcoming", ahead)
    for item in ahead["items"]["data"]:
        if item["current_period_end"] <= end:
            _roll(invoice, sandbox, ahead, item, end)
    show_waiting(sandbox, invoice, ahead)
    invoicing.price_up(sandbox, invoice, ahead)
    return invoice


def show_waiting(sandbox: Sandbox, invoice: Doc, subscription: Doc) -> None:
    """Put what waits for the next invoice on one that is only looked at."""
    for one in waiting.of_subscription(sandbox, subscription):
        waiting.put_on(invoice, one)


def last_invoice(sandbox: Sandbox, subscription: Doc, at: int) -> Doc:
    """What would still be billed if the subscription ended at an instant; nothing is kept."""
    customer = sandbox.get("customer", subscription["customer"])
    invoice = invoicing.blank(sandbox, customer, "upcoming", subscription)
    show_waiting(sandbox, invoice, subscription)
    _bill_usage(sandbox, invoice, subscription, at)
    invoicing.price_up(sandbox, invoice, subscription)
    return invoice


def ends_for_want_of_method(sandbox: Sandbox, subscription: Doc) -> bool:
    """End or pause a trial that is over, if nobody can be charged and that was agreed."""
    customer = sandbox.get("customer", subscription["customer"])
    if standing.method_for(sandbox, subscription, customer) is not None:
        return False
    agreed = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if agreed == "cancel":
        standing.end(sandbox, subscription, "cancellation_requested")
    elif agreed == "pause":
        standing.pause(sandbox, subscription, "trial_end_without_payment_method")
    return bool(agreed in ("cancel", "pause"))


def _renew(sandbox: Sandbox, subscription: Doc, now: int) -> None:
    was_trial = subscription["status"] == "trialing"
    customer = sandbox.get("customer", subscription["customer"])
    if was_trial and ends_for_want_of_method(sandbox, subscription):
        return
    if schedules.is_due(sandbox, subscription):
        schedules.step(sandbox, subscription)
        if subscription["status"] in standing.TERMINAL:
            return
    due = [item for item in subscription["items"]["data"] if item["current_period_end"] <= now]
    if not due:
        # The item that was due went with its phase; the others are in the middle of theirs.
        standing.keep(sandbox, subscription, "customer.subscription.updated")
        return
    invoice = invoicing.blank(sandbox, customer, "subscription_cycle", subscription)
    invoice["period_start"] = min(item["current_period_start"] for item in due)
    for item in due:
        _roll(invoice, sandbox, subscription, item, now)
    waiting.take(sandbox, invoice, waiting.of_subscription(sandbox, subscription))
    waiting.take(
        sandbox,
        invoice,
        waiting.of_nobody(sandbox, subscription["customer"], subscription["currency"]),
    )
    if was_trial:
        subscription["status"] = "active"
    invoice["automatically_finalizes_at"] = now + invoicing.HOUR
    invoicing.open_draft(sandbox, invoice, subscription)
    held = subscription["pause_collection"] or {}
    if subscription["status"] == "unpaid" or held.get("behavior") == "keep_as_draft":
        invoice.update(auto_advance=False, automatically_finalizes_at=None)
        sandbox.save(invoice)
    else:
        sandbox.wake(invoice, now + invoicing.HOUR)
    standing.keep(sandbox, subscription, "customer.subscription.updated")


def _roll(invoice: Doc, sandbox: Sandbox, subscription: Doc, item: Doc, now: int) -> None:
    """Put an item in its next period: licences are billed ahead, usage afterwards."""
    ended = (items.unbilled_from(item), item["current_period_end"])
    items.set_period(item, subscription["billing_cycle_anchor"], now)
    begun = (item["current_period_start"], item["current_period_end"])
    if items.is_metered(item):
        invoicing.usage_line(sandbox, invoice, item, ended)
    else:
        invoicing.plan_line(sandbox, invoice, item, begun)


def _expire(sandbox: Sandbox, subscription: Doc) -> None:
    """The first payment never came."""
    subscription["status"] = "incomplete_expired"
    subscription["ended_at"] = sandbox.now()
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    invoice = sandbox.find("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoicing.void(sandbox, invoice)


def finish(
    sandbox: Sandbox, subscription: Doc, *, bill: bool = True, at_once: bool = False
) -> None:
    """The end a customer asked for; what is still unbilled goes on a last invoice.

    The last invoice is a draft for an hour like any renewal, unless it is wanted at once.
    """
    if bill:
        _last_invoice(sandbox, subscription, at_once=at_once)
    standing.end(sandbox, subscription, "cancellation_requested")


def _last_invoice(sandbox: Sandbox, subscription: Doc, *, at_once: bool) -> None:
    customer = sandbox.get("customer", subscription["customer"])
    invoice = invoicing.blank(sandbox, customer, "subscription_cycle", subscription)
    waiting.take(sandbox, invoice, waiting.of_subscription(sandbox, subscription))
    _bill_usage(sandbox, invoice, subscription, sandbox.now())
    if not invoice["lines"]["data"]:
        return
    invoice["_is_last"] = True
    if not at_once:
        invoice["automatically_finalizes_at"] = sandbox.now() + invoicing.HOUR
    invoicing.open_draft(sandbox, invoice, subscription)
    sandbox.wake(invoice, invoice["automatically_finalizes_at"])
    if at_once:
        settlement.keep_appointment(sandbox, invoice)


def _bill_usage(sandbox: Sandbox, invoice: Doc, subscription: Doc, at: int) -> None:
    for item in subscription["items"]["data"]:
        if items.is_metered(item):
            invoicing.usage_line(sandbox, invoice, item, (items.unbilled_from(item), at))
