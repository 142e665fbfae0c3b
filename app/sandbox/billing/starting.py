"""How a subscription begins: by API or at the end of a checkout."""

from dataclasses import dataclass, field

from app.sandbox.billing import discounting, invoicing, items, settlement, standing
from app.sandbox.billing.charging import Outcome
from app.sandbox.billing.items import set_period
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, card_declined, invalid
from app.sandbox.core.sandbox import Sandbox

NEEDS_PAYER: Doc = {
    "code": "subscription_payment_intent_requires_action",
    "message": "Payment for this subscription requires additional user action before it can be "
    "completed successfully. Payment can be completed using the PaymentIntent associated with "
    "`subscription.latest_invoice`.",
}


@dataclass
class Order:
    """What is being subscribed to, and how."""

    customer: Doc
    items: list[Doc]
    metadata: dict[str, str]
    method: Doc | None = None
    trial_end: int | None = None
    trial_settings: Doc | None = None
    discounts: list[Doc] = field(default_factory=list)
    description: str | None = None
    currency: str | None = None
    cancel_at: int | str | None = None
    cancel_at_period_end: bool = False
    payment_behavior: str = "allow_incomplete"
    off_session: bool = False
    saves_method: bool = False
    """Whether what the first invoice is paid with becomes the subscription's default."""
    days_until_due: int | None = None
    """Set for those who are sent their invoices instead of being charged."""
    billing_mode: str = "flexible"
    authenticated: bool = False
    """Whether the payer has confirmed the first payment already."""
    intent: str | None = None
    """The payment intent that was begun for the first payment."""
    by_schedule: bool = False
    """A schedule begins with a draft that is collected an hour later, as renewals are."""
    through_checkout: bool = False
    """Checkout makes nothing until it is paid, so there is no `incomplete` and no leftovers."""


def start(sandbox: Sandbox, order: Order) -> Doc:
    """Begin a subscription and collect its first invoice."""
    now = sandbox.now()
    customer = order.customer
    trialing = order.trial_end is not None and order.trial_end > now
    subscription = _blank(sandbox, order, trialing)
    subscription["items"]["data"] = items.read_items(sandbox, subscription["id"], order.items)
    subscription["items"]["total_count"] = len(subscription["items"]["data"])
    subscription["currency"] = subscription["items"]["data"][0]["price"]["currency"]
    for item in subscription["items"]["data"]:
        set_period(item, subscription["billing_cycle_anchor"], now)
        if trialing:
            item["current_period_start"], item["current_period_end"] = now, order.trial_end
    if order.currency not in (None, subscription["currency"]):
        raise invalid(f"The prices are not in {order.currency}.", "currency")
    if order.cancel_at_period_end or order.cancel_at is not None:
        _plan_end(subscription, order, now)
    discounting.redeem(sandbox, order.discounts, subscription)
    if customer["currency"] is None:
        customer["currency"] = subscription["currency"]
        sandbox.save(customer, "customer.updated")

    invoice = invoicing.blank(sandbox, customer, "subscription_create", subscription)
    for item in subscription["items"]["data"]:
        period = (item["current_period_start"], item["current_period_end"])
        made = invoicing.plan_line(sandbox, invoice, item, period)
        if trialing:
            made["amount"] = made["subtotal"] = 0
            made["description"] = f"Trial period for {made['description']}"
    subscription["latest_invoice"] = invoice["id"]
    if order.intent is not None:
        invoice["_intent"] = order.intent
    _announce(sandbox, subscription, invoice, order)
    return subscription


def _plan_end(subscription: Doc, order: Order, now: int) -> None:
    end: int | str | None = order.cancel_at
    if order.cancel_at_period_end or end == "max_period_end":
        end = standing.period_end(subscription)
    elif end == "min_period_end":
        end = standing.renewal_due(subscription)
    subscription.update(
        cancel_at=end, cancel_at_period_end=order.cancel_at_period_end, canceled_at=now
    )


def billing_mode(kind: str, now: int) -> Doc:
    if kind == "classic":
        return {"type": "classic", "flexible": None}
    return {
        "type": "flexible",
        "flexible": {"proration_discounts": "included"},
        "updated_at": now,
    }


def _announce(sandbox: Sandbox, subscription: Doc, invoice: Doc, order: Order) -> None:
    later = order.days_until_due is not None or order.by_schedule
    if subscription["status"] != "trialing":
        at_once = order.through_checkout or later
        subscription["status"] = "active" if at_once else "incomplete"
    standing.keep(sandbox, subscription, None)
    sandbox.emit("customer.subscription.created", subscription)
    if later:
        invoice["automatically_finalizes_at"] = sandbox.now() + invoicing.HOUR
        invoicing.open_draft(sandbox, invoice, subscription)
        sandbox.wake(invoice, invoice["automatically_finalizes_at"])
        standing.keep(sandbox, subscription, None)
        return
    invoicing.open_draft(sandbox, invoice, subscription)
    invoicing.finalize(sandbox, invoice)
    if invoice["status"] == "paid":
        settlement.settled(sandbox, invoice)
    elif order.payment_behavior != "default_incomplete":
        _collect_first(sandbox, subscription, invoice, order)
    standing.keep(sandbox, subscription, None)


def _collect_first(sandbox: Sandbox, subscription: Doc, invoice: Doc, order: Order) -> None:
    method = standing.method_for(sandbox, subscription, order.customer)
    if method is None:
        raise Refusal(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method. For more information, visit "
            "https://docs.stripe.com/billing/subscriptions/payment-methods-setting.",
            code="resource_missing",
        )
    outcome = settlement.collect(
        sandbox,
        invoice,
        method,
        plans_retry=order.through_checkout and method["type"] != "card",
        on_session=not order.off_session,
        authenticated=order.authenticated,
    )
    if order.through_checkout or order.payment_behavior == "error_if_incomplete":
        refuse_unless_paid(outcome)


def refuse_unless_paid(outcome: Outcome) -> None:
    """Take everything back if a payment failed, or would need its payer."""
    if outcome.status == "failed" and outcome.error is not None:
        raise card_declined(outcome.error)
    if outcome.status == "requires_action":
        raise card_declined(NEEDS_PAYER)


def _blank(sandbox: Sandbox, order: Order, trialing: bool) -> Doc:
    now = sandbox.now()
    id = ids.new("sub")
    return {
        "id": id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": order.trial_end if trialing else now,
        "billing_cycle_anchor_config": None,
        "billing_mode": billing_mode(order.billing_mode, now),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically"
        if order.days_until_due is None
        else "send_invoice",
        "created": now,
        "currency": "usd",
        "customer": order.customer["id"],
        "customer_account": None,
        "days_until_due": order.days_until_due,
        "default_payment_method": order.method["id"] if order.method else None,
        "default_source": None,
        "default_tax_rates": [],
        "description": order.description,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [],
            "has_more": False,
            "total_count": 0,
            "url": f"/v1/subscription_items?subscription={id}",
        },
        "latest_invoice": None,
        "livemode": False,
        "metadata": order.metadata,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "on_subscription" if order.saves_method else "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trialing else "incomplete",
        "status_details": None,
        "test_clock": order.customer["test_clock"],
        "transfer_data": None,
        "trial_end": order.trial_end if trialing else None,
        "trial_settings": order.trial_settings
        or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": now if trialing else None,
    }
