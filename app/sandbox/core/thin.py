"""Thin events: small, unversioned notices that name an object instead of carrying it."""

from datetime import UTC, datetime
from typing import Any

from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox, public

KIND = "v2.core.event"
_FETCHED = ("data", "changes", "snapshot_event")
"""Told to those who fetch the event, not sent with its notification."""
_PLACES = {
    "billing.meter": "billing/meters",
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "coupon": "coupons",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "invoiceitem": "invoiceitems",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "promotion_code": "promotion_codes",
    "refund": "refunds",
    "setup_intent": "setup_intents",
    "subscription": "subscriptions",
    "subscription_schedule": "subscription_schedules",
    "test_helpers.test_clock": "test_helpers/test_clocks",
}


TWINS = frozenset(
    [
        "charge.captured",
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.expired",
        "charge.failed",
        "charge.pending",
        "charge.refund.updated",
        "charge.refunded",
        "charge.succeeded",
        "charge.updated",
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "checkout.session.expired",
        "coupon.created",
        "coupon.deleted",
        "coupon.updated",
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
        "customer.created",
        "customer.deleted",
        "customer.discount.created",
        "customer.discount.deleted",
        "customer.discount.updated",
        "customer.subscription.active",
        "customer.subscription.cancel_at_changed",
        "customer.subscription.created",
        "customer.subscription.deleted",
        "customer.subscription.incomplete",
        "customer.subscription.incomplete_expired",
        "customer.subscription.item_price_changed",
        "customer.subscription.past_due",
        "customer.subscription.paused",
        "customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "customer.subscription.trialing",
        "customer.subscription.unpaid",
        "customer.subscription.updated",
        "customer.updated",
        "invoice.created",
        "invoice.deleted",
        "invoice.finalization_failed",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.overdue",
        "invoice.paid",
        "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.payment_succeeded",
        "invoice.sent",
        "invoice.upcoming",
        "invoice.updated",
        "invoice.voided",
        "invoice.will_be_due",
        "invoice_payment.paid",
        "invoiceitem.created",
        "invoiceitem.deleted",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payment_method.attached",
        "payment_method.automatically_updated",
        "payment_method.detached",
        "payment_method.updated",
        "price.created",
        "price.deleted",
        "price.updated",
        "product.created",
        "product.deleted",
        "product.updated",
        "promotion_code.created",
        "promotion_code.updated",
        "refund.created",
        "refund.failed",
        "refund.updated",
        "setup_intent.canceled",
        "setup_intent.created",
        "setup_intent.requires_action",
        "setup_intent.setup_failed",
        "setup_intent.succeeded",
        "subscription_schedule.aborted",
        "subscription_schedule.canceled",
        "subscription_schedule.completed",
        "subscription_schedule.created",
        "subscription_schedule.expiring",
        "subscription_schedule.released",
        "subscription_schedule.updated",
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.created",
        "test_helpers.test_clock.deleted",
        "test_helpers.test_clock.ready",
    ]
)
"""What thin events tell of under the same name, with `v1.` before it."""


def moment(instant: int) -> str:
    """An instant as the second version of the API writes it."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def announce(sandbox: Sandbox, type: str, about: Doc | None, **fetched: Any) -> Doc:
    """Record a thin event and one delivery of it for every endpoint that wants it."""
    cause = sandbox.cause
    event: Doc = {
        "id": ids.new("evt"),
        "object": KIND,
        "created": moment(sandbox.event_time()),
        "livemode": False,
        "type": type,
    }
    if about is not None and "id" in about:
        place = _PLACES[about["object"]]
        event["related_object"] = {
            "id": about["id"],
            "type": about["object"],
            "url": f"/v1/{place}/{about['id']}",
        }
    if cause.request_id is not None:
        key = cause.idempotency_key or ""
        event["reason"] = {
            "type": "request",
            "request": {"id": cause.request_id, "idempotency_key": key},
        }
    event.update(fetched)
    sandbox.keep_event(event, wants)
    return event


def twin(sandbox: Sandbox, event: Doc, about: Doc) -> None:
    """Tell those who take thin events what others are told with the object in it."""
    previous = event["data"].get("previous_attributes")
    for type in (event["type"], *_also(event["type"], about, previous or {})):
        name = f"v1.{type}"
        if type in TWINS and sandbox.listeners(name, wants):
            more = {"snapshot_event": event["id"]} if type == event["type"] else {}
            announce(sandbox, name, about, **more, **_changes(about, previous))


def _changes(about: Doc, previous: Doc | None) -> Doc:
    if not previous:
        return {}
    after = {key: about.get(key) for key in previous}
    return {"changes": {"before": previous, "after": public(after)}}


def _also(type: str, about: Doc, previous: Doc) -> list[str]:
    """The finer events that only thin events have."""
    if type != "customer.subscription.updated":
        return []
    also = [about["status"]] if "status" in previous else []
    if "cancel_at" in previous:
        also.append("cancel_at_changed")
    if "items" in previous:
        before = [item["price"]["id"] for item in previous["items"].get("data") or []]
        after = [item["price"]["id"] for item in about["items"]["data"]]
        if before and before != after:
            also.append("item_price_changed")
    return [f"customer.subscription.{one}" for one in also]


def notification(event: Doc) -> Doc:
    """What is sent of a thin event."""
    return {key: value for key, value in event.items() if key not in _FETCHED}


def wants(endpoint: Doc, type: str) -> bool:
    """Whether an endpoint takes thin events of a type: asked for by name, or thin altogether."""
    listed = endpoint["enabled_events"]
    if type in listed:
        return True
    if endpoint.get("_payload", "snapshot") == "snapshot":
        return False
    return "*" in listed or type.removeprefix("v1.") in listed
