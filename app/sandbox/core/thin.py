"""Thin events: small, unversioned notices that name an object instead of carrying it."""

from datetime import UTC, datetime
from typing import Any

from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

KIND = "v2.core.event"
_FETCHED = ("data", "changes", "snapshot_event")
"""Told to those who fetch the event, not sent with its notification."""
_PLACES = {
    "billing.meter": "billing/meters",
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "coupon": "coupons",
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
