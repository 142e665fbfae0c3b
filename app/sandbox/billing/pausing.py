"""Back from a pause: a new cycle, and when it counts."""

import copy

from app.sandbox.billing import invoicing, items, settlement, standing
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def resume(sandbox: Sandbox, subscription: Doc, behavior: str) -> None:
    """Begin a new cycle and bill it.

    `resume_on_payment_attempt` resumes at once and may fall past due; with
    `resume_on_payment_success` it stays paused until the invoice is paid.
    """
    now = sandbox.now()
    customer = sandbox.get("customer", subscription["customer"])
    after: Doc = {
        "billing_cycle_anchor": now,
        "items": copy.deepcopy(subscription["items"]),
        "status": "active",
        "status_details": None,
    }
    invoice = invoicing.blank(sandbox, customer, "subscription_update", subscription)
    for item in after["items"]["data"]:
        items.set_period(item, now, now)
        period = (item["current_period_start"], item["current_period_end"])
        invoicing.plan_line(sandbox, invoice, item, period)
    subscription["_resuming"] = {"invoice": invoice["id"], "after": after}
    if behavior == "resume_on_payment_attempt":
        standing.come_back(sandbox, subscription)
    invoicing.open_draft(sandbox, invoice, subscription)
    invoicing.finalize(sandbox, invoice)
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    if invoice["status"] == "paid":
        settlement.settled(sandbox, invoice)
        return
    method = standing.method_for(sandbox, subscription, customer)
    settlement.collect(sandbox, invoice, method, plans_retry=True)
