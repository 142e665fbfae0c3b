"""Into a pause and out of it: what is settled on the way, and what a new cycle costs."""

import copy
from dataclasses import dataclass

from app.sandbox.billing import changes, invoicing, items, settlement, standing, waiting
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

_PAYABLE_SECONDS = 23 * standing.HOUR


@dataclass(frozen=True)
class Terms:
    """What is settled when a subscription pauses."""

    unused_from: str = "now"
    """From when licences are given back: `now`, `item_current_period_start` or `none`."""
    usage_through: str = "now"
    """Until when usage is billed: `now` or `none`."""
    at_once: bool = False
    """On an invoice of its own, rather than on the next one."""


def pause(sandbox: Sandbox, subscription: Doc, terms: Terms) -> None:
    """Stop at a customer's wish; no invoice is made until it is resumed."""
    now = sandbox.now()
    customer = sandbox.get("customer", subscription["customer"])
    invoice = invoicing.blank(sandbox, customer, "subscription_update", subscription)
    trialing = subscription["status"] == "trialing"
    for item in subscription["items"]["data"]:
        start = item["current_period_start"]
        if items.is_metered(item):
            if terms.usage_through == "now":
                period = (items.unbilled_from(item), now)
                invoicing.usage_line(sandbox, invoice, item, period)
                item["_billed_to"] = now
        elif terms.unused_from != "none" and not trialing:
            since = now if terms.unused_from == "now" else start
            back = changes.unused_of(sandbox, subscription, item, since)
            invoicing.line(
                invoice, item, back.amount, back.description, back.period, proration=True
            )
    if terms.at_once:
        waiting.take(sandbox, invoice, waiting.of_subscription(sandbox, subscription))
        if invoice["lines"]["data"]:
            invoicing.open_draft(sandbox, invoice, subscription)
            settlement.keep_appointment(sandbox, invoice)
    else:
        for line in invoice["lines"]["data"]:
            waiting.from_line(sandbox, customer, line)
    standing.pause(sandbox, subscription, "pause_requested")


def resume(
    sandbox: Sandbox,
    subscription: Doc,
    *,
    behavior: str,
    anchor: str = "now",
    proration: str = "create_prorations",
) -> None:
    """Go on, with a new cycle or in the old one.

    `resume_on_payment_attempt` resumes at once and may fall past due; with
    `resume_on_payment_success` it stays paused until the invoice is paid, for 23 hours at most.
    """
    now = sandbox.now()
    customer = sandbox.get("customer", subscription["customer"])
    after: Doc = {
        "items": copy.deepcopy(subscription["items"]),
        "status": "active",
        "status_details": None,
    }
    invoice = invoicing.blank(sandbox, customer, "subscription_update", subscription)
    if anchor == "now":
        after["billing_cycle_anchor"] = now
        for item in after["items"]["data"]:
            items.set_period(item, now, now)
            period = (item["current_period_start"], item["current_period_end"])
            invoicing.plan_line(sandbox, invoice, item, period)
    else:
        _catch_up(sandbox, subscription, after, invoice, proration)
    subscription["_resuming"] = {
        "invoice": invoice["id"],
        "after": after,
        "expires_at": now + _PAYABLE_SECONDS,
    }
    if anchor != "now" and proration != "always_invoice":
        for line in invoice["lines"]["data"]:
            waiting.from_line(sandbox, customer, line)
        standing.come_back(sandbox, subscription)
        return
    waiting.take(sandbox, invoice, waiting.of_subscription(sandbox, subscription))
    at_once = behavior == "resume_on_payment_attempt" or not invoice["lines"]["data"]
    if at_once:
        standing.come_back(sandbox, subscription)
    if not invoice["lines"]["data"]:
        return
    invoicing.open_draft(sandbox, invoice, subscription)
    invoicing.finalize(sandbox, invoice)
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    if invoice["status"] == "paid":
        settlement.settled(sandbox, invoice)
        return
    method = settlement.method_of(sandbox, invoice)
    settlement.collect(sandbox, invoice, method, plans_retry=at_once)


def _catch_up(
    sandbox: Sandbox, subscription: Doc, after: Doc, invoice: Doc, proration: str
) -> None:
    """Go on in the old cycle: what is left of the period in it is charged."""
    now = sandbox.now()
    for item in after["items"]["data"]:
        items.set_period(item, subscription["billing_cycle_anchor"], now)
        if not items.is_metered(item) and proration != "none":
            rest = changes.remaining_of(sandbox, subscription, item, now)
            invoicing.line(
                invoice, item, rest.amount, rest.description, rest.period, proration=True
            )
