"""Previews: what a subscription would be billed next, as it is or after a change."""

import copy

from app.sandbox.billing import changes, invoicing, renewal, standing
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Doc, Fields, Flag, Text, instant, one_of
from app.sandbox.core.refusals import Refusal, invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import subscriptions

_CHANGES = {"items", "trial_end", "billing_cycle_anchor"}
_ENDS = {"cancel_now", "cancel_at", "cancel_at_period_end"}


def create_preview(sandbox: Sandbox, params: Doc) -> Doc:
    subscription = _subscription(sandbox, params)
    details = params.get("subscription_details", {})
    if subscription["status"] in standing.TERMINAL:
        raise wrong_state("You cannot preview the invoice of a canceled subscription.",
                          "invoice_upcoming_none")  # fmt: skip
    if details.keys() & _CHANGES:
        return _as_preview(_after_change(sandbox, subscription, details))
    if details.keys() & _ENDS:
        return _as_preview(_after_end(sandbox, subscription, details))
    if subscription["cancel_at"] is not None:
        last = renewal.last_invoice(sandbox, subscription, at=subscription["cancel_at"])
        return _as_preview(_unless_empty(last))
    return _as_preview(renewal.next_invoice(sandbox, subscription))


def _subscription(sandbox: Sandbox, params: Doc) -> Doc:
    if "schedule" in params:
        schedule = sandbox.named("subscription_schedule", params["schedule"], "schedule")
        if schedule["subscription"] is None:
            raise _none()
        subscription = sandbox.get("subscription", schedule["subscription"])
    elif "subscription" in params:
        subscription = sandbox.named("subscription", params["subscription"], "subscription")
    else:
        raise required("subscription")
    if params.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid("The subscription belongs to another customer.", "customer")
    return subscription


def _after_change(sandbox: Sandbox, subscription: Doc, details: Doc) -> Doc:
    change = changes.plan(sandbox, subscription, details)
    after = {**copy.deepcopy(subscription), **change.after}
    customer = sandbox.get("customer", subscription["customer"])
    if change.bills_now or details.get("proration_behavior") == "always_invoice":
        invoice = invoicing.blank(sandbox, customer, "subscription_update", after)
        renewal.show_waiting(sandbox, invoice, after)
    else:
        invoice = renewal.next_invoice(sandbox, after)
    changes.write_lines(sandbox, invoice, change)
    invoicing.price_up(sandbox, invoice, after)
    return invoice


def _after_end(sandbox: Sandbox, subscription: Doc, details: Doc) -> Doc:
    """The last invoice, if the subscription ended as asked."""
    if details.get("cancel_now"):
        prorates = details.get("proration_behavior", "create_prorations") != "none"
        invoice = renewal.last_invoice(sandbox, subscription, at=sandbox.now())
        if prorates and subscription["status"] != "trialing":
            changes.write_lines(sandbox, invoice, changes.unused(sandbox, subscription))
    elif details.get("cancel_at_period_end") or details.get("cancel_at"):
        at = details.get("cancel_at") or standing.period_end(subscription)
        if isinstance(at, str):
            at = standing.period_end(subscription)
        if at > standing.renewal_due(subscription):
            return renewal.next_invoice(sandbox, subscription)
        invoice = renewal.last_invoice(sandbox, subscription, at=at)
    else:
        return renewal.next_invoice(sandbox, subscription)
    return _priced(sandbox, _unless_empty(invoice), subscription)


def _priced(sandbox: Sandbox, invoice: Doc, subscription: Doc) -> Doc:
    invoicing.price_up(sandbox, invoice, subscription)
    return invoice


def _unless_empty(invoice: Doc) -> Doc:
    if not invoice["lines"]["data"]:
        raise _none()
    return invoice


def _none() -> Refusal:
    return wrong_state("No upcoming invoices for this subscription.", "invoice_upcoming_none")


def _as_preview(invoice: Doc) -> Doc:
    name = invoice["id"].replace("in_", "upcoming_in_")
    lines = invoice["lines"]
    for line in lines["data"]:
        line["invoice"] = name
    return {**invoice, "id": name, "lines": {**lines, "url": f"/v1/invoices/{name}/lines"}}


_DETAILS = Fields(
    {
        "billing_cycle_anchor": Fields({"type": one_of("now", "unchanged")}, needs=("type",)),
        "cancel_at": instant("max_period_end", "min_period_end", clears=True),
        "cancel_at_period_end": Flag(),
        "cancel_now": Flag(),
        "items": subscriptions.ITEM_CHANGES,
        "proration_behavior": subscriptions.PRORATION,
        "proration_date": instant(),
        "trial_end": instant("now"),
    }
)
OPERATIONS = (
    Operation(
        "POST",
        "/v1/invoices/create_preview",
        create_preview,
        Fields(
            {
                "customer": Text(),
                "schedule": Text(),
                "subscription": Text(),
                "subscription_details": _DETAILS,
            }
        ),
        "InvoiceCreatePreviewParams",
    ),
)
