"""Pausing, resuming and moving a subscription to flexible billing."""

from app.sandbox.billing import pausing, standing, starting
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Doc, Fields, one_of
from app.sandbox.core.refusals import wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns.subscriptions import PRORATION

_PAUSABLE = ("active", "past_due", "trialing")
PAUSE = Fields(
    {
        "bill_for": Fields(
            {
                "outstanding_usage_through": Fields(
                    {"type": one_of("none", "now")}, needs=("type",)
                ),
                "unused_time_from": Fields(
                    {"type": one_of("item_current_period_start", "none", "now")}, needs=("type",)
                ),
            }
        ),
        "invoicing_behavior": one_of("invoice", "pending_invoice_item"),
        "type": one_of("subscription"),
    }
)
RESUME = Fields(
    {
        "billing_cycle_anchor": Fields({"type": one_of("now", "unchanged")}, needs=("type",)),
        "payment_behavior": one_of("resume_on_payment_attempt", "resume_on_payment_success"),
        "proration_behavior": PRORATION,
    }
)


def pause(sandbox: Sandbox, params: Doc, subscription: str) -> Doc:
    doc = sandbox.get("subscription", subscription, "subscription")
    if doc["billing_mode"]["type"] != "flexible":
        raise wrong_state("Only subscriptions with `billing_mode=flexible` can be paused.")
    if standing.schedule_of(sandbox, doc) is not None:
        raise wrong_state("A subscription that is managed by a schedule cannot be paused.")
    if doc["status"] not in _PAUSABLE:
        raise wrong_state(f"A subscription that is {doc['status']} cannot be paused.")
    bill_for = params.get("bill_for", {})
    pausing.pause(
        sandbox,
        doc,
        pausing.Terms(
            unused_from=bill_for.get("unused_time_from", {}).get("type", "now"),
            usage_through=bill_for.get("outstanding_usage_through", {}).get("type", "now"),
            at_once=params.get("invoicing_behavior") == "invoice",
        ),
    )
    return doc


def resume(sandbox: Sandbox, params: Doc, subscription: str) -> Doc:
    doc = sandbox.get("subscription", subscription, "subscription")
    if doc["status"] != "paused":
        raise wrong_state(f"Subscription {subscription} is not paused, so it cannot be resumed.")
    if doc["collection_method"] != "charge_automatically":
        raise wrong_state("Only subscriptions that are charged automatically can be resumed.")
    if "_resuming" in doc:
        raise wrong_state("The invoice of an earlier resumption still waits to be paid.")
    pausing.resume(
        sandbox,
        doc,
        behavior=params.get("payment_behavior", "resume_on_payment_attempt"),
        anchor=params.get("billing_cycle_anchor", {}).get("type", "now"),
        proration=params.get("proration_behavior", "create_prorations"),
    )
    return doc


def migrate(sandbox: Sandbox, params: Doc, subscription: str) -> Doc:
    """From classic to flexible billing; there is no way back."""
    doc = sandbox.get("subscription", subscription, "subscription")
    if doc["status"] in standing.TERMINAL:
        raise wrong_state("A canceled subscription cannot be migrated.")
    if doc["billing_mode"]["type"] != "flexible":
        doc["billing_mode"] = starting.billing_mode("flexible", sandbox.now())
        standing.keep(sandbox, doc, "customer.subscription.updated")
    return doc


_ONE = "/v1/subscriptions/{subscription}"
OPERATIONS = (
    Operation("POST", f"{_ONE}/pause", pause, PAUSE, "SubscriptionPauseParams"),
    Operation("POST", f"{_ONE}/resume", resume, RESUME, "SubscriptionResumeParams"),
    Operation(
        "POST",
        f"{_ONE}/migrate",
        migrate,
        Fields(
            {
                "billing_mode": Fields(
                    {
                        "flexible": Fields({"proration_discounts": one_of("included")}),
                        "type": one_of("flexible"),
                    },
                    needs=("type",),
                )
            },
            needs=("billing_mode",),
        ),
        "SubscriptionMigrateParams",
    ),
)
