"""The shapes that events had in earlier versions of the API, for endpoints that keep to one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from app.sandbox.core.params import Doc

if TYPE_CHECKING:
    from app.sandbox.core.sandbox import Sandbox

_EMBEDDED_LISTS_GONE = "2022-11-15"
_BASIL = "2025-03-31"
_CLOVER = "2025-09-30"
_DAHLIA = "2026-03-25"
VERSIONS = (
    "2020-08-27",
    "2022-11-15",
    "2023-10-16",
    "2024-06-20",
    "2024-12-18.acacia",
    "2025-03-31.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
    "2026-09-30.endive",
)
"""Versions that an endpoint may be put up with, beside the account's own."""


def event_for(sandbox: Sandbox, event: Doc, version: str) -> Doc:
    """An event as an endpoint of that version is sent it."""
    data = event["data"]
    after = shaped(sandbox, data["object"], version)
    told: Doc = {"object": after}
    if (previous := data.get("previous_attributes")) is not None:
        before = shaped(sandbox, _patched(data["object"], previous), version)
        told["previous_attributes"] = differences(before, after)
    return {**event, "api_version": version, "data": told}


def differences(before: Doc, after: Doc) -> Doc:
    """What changed, with the values it had; Stripe's `previous_attributes`."""
    changes: Doc = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changes[key] = differences(old, new)
        else:
            changes[key] = copy.deepcopy(old)
    return changes


def _patched(after: Doc, previous: Doc) -> Doc:
    """An object as it was before a change."""
    before = dict(after)
    for key, old in previous.items():
        now = after.get(key)
        nested = isinstance(old, dict) and isinstance(now, dict)
        before[key] = _patched(now, old) if nested and now is not None else old
    return before


def shaped(sandbox: Sandbox, doc: Doc, version: str) -> Doc:
    """An object in the shape of a version."""
    made = copy.deepcopy(doc)
    day, kind = version[:10], made.get("object")
    if day < _DAHLIA and kind == "checkout.session" and made.get("ui_mode") == "hosted_page":
        made["ui_mode"] = "hosted"
    if day < _CLOVER and kind == "promotion_code":
        made["coupon"] = sandbox.find("coupon", made.pop("promotion")["coupon"])
    if day < _BASIL and kind in _BEFORE_BASIL:
        _BEFORE_BASIL[str(kind)](sandbox, made)
    if day < _EMBEDDED_LISTS_GONE and kind == "charge":
        made["refunds"] = _list(sandbox.all("refund", charge=made["id"]), f"charges/{made['id']}")
    if day < _EMBEDDED_LISTS_GONE and kind == "payment_intent":
        charges = sandbox.all("charge", payment_intent=made["id"])
        made["charges"] = _list(charges, "charges")
    cleaned: Doc = _public(made)
    return cleaned


def _list(docs: list[Doc], place: str) -> Doc:
    return {
        "object": "list",
        "data": docs,
        "has_more": False,
        "total_count": len(docs),
        "url": f"/v1/{place}",
    }


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public(inner) for key, inner in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [_public(inner) for inner in value]
    return value


def _drop(doc: Doc, *keys: str) -> None:
    for key in keys:
        doc.pop(key, None)


def _subscription(sandbox: Sandbox, doc: Doc) -> None:
    """The period was the subscription's, and so was the plan of a single item."""
    items = doc["items"]["data"]
    doc["current_period_start"] = min(item["current_period_start"] for item in items)
    doc["current_period_end"] = max(item["current_period_end"] for item in items)
    for item in items:
        _drop(item, "current_period_start", "current_period_end", "current_trial")
        item["plan"] = _plan(item["price"])
    doc["plan"] = items[0]["plan"] if len(items) == 1 else None
    doc["quantity"] = items[0].get("quantity") if len(items) == 1 else None
    doc["discount"] = _discount(sandbox, doc)
    _drop(doc, "billing_mode", "billing_schedules", "customer_account", "status_details")


def _invoice(sandbox: Sandbox, doc: Doc) -> None:
    """It named its subscription and its payment itself."""
    details = (doc.pop("parent", None) or {}).get("subscription_details") or {}
    doc["subscription"] = details.get("subscription")
    doc["subscription_details"] = {"metadata": details.get("metadata")}
    intent = _intent_of(sandbox, doc.get("id"))
    doc["payment_intent"] = intent["id"] if intent else None
    doc["charge"] = intent["latest_charge"] if intent else None
    doc["paid"] = doc["status"] == "paid"
    doc["paid_out_of_band"] = bool(
        doc["paid"] and doc["amount_due"] and (intent is None or intent["status"] != "succeeded")
    )
    doc.update(tax=None, total_tax_amounts=[], discount=_discount(sandbox, doc), quote=None)
    for line in doc["lines"]["data"]:
        _line(sandbox, line)
    _drop(doc, "amount_overpaid", "amount_paid_off_stripe", "confirmation_secret")
    _drop(doc, "customer_account", "payments", "status_details", "total_taxes")


def _line(sandbox: Sandbox, line: Doc) -> None:
    parent = line.pop("parent", None) or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    pricing = line.pop("pricing", None) or {}
    price = sandbox.find("price", (pricing.get("price_details") or {}).get("price") or "")
    item = details.get("invoice_item")
    line.update(
        invoice_item=item,
        plan=_plan(price) if price else None,
        price=price,
        proration=details.get("proration", False),
        proration_details=details.get("proration_details") or {"credited_items": None},
        subscription=details.get("subscription"),
        subscription_item=details.get("subscription_item"),
        tax_amounts=[],
        tax_rates=[],
        type="invoiceitem" if item else "subscription",
    )
    _drop(line, "taxes", "subtotal", "quantity_decimal")


def _charge(sandbox: Sandbox, doc: Doc) -> None:
    doc["invoice"] = _invoice_of(sandbox, doc["payment_intent"])
    _drop(doc, "customer_account")


def _payment_intent(sandbox: Sandbox, doc: Doc) -> None:
    doc["invoice"] = _invoice_of(sandbox, doc["id"])
    _drop(doc, "customer_account")


def _intent_of(sandbox: Sandbox, invoice: str | None) -> Doc | None:
    for payment in sandbox.all("invoice_payment", invoice=invoice) if invoice else ():
        if payment["payment"]["type"] == "payment_intent":
            return sandbox.find("payment_intent", payment["payment"]["payment_intent"])
    return None


def _invoice_of(sandbox: Sandbox, intent: str | None) -> str | None:
    for payment in sandbox.all("invoice_payment") if intent else ():
        if payment["payment"].get("payment_intent") == intent:
            return str(payment["invoice"])
    return None


def _discount(sandbox: Sandbox, doc: Doc) -> Doc | None:
    for id in doc["discounts"]:
        discount = sandbox.find_any(id) if isinstance(id, str) else id
        if discount is not None:
            coupon = sandbox.find("coupon", discount["source"]["coupon"])
            return {**{k: v for k, v in discount.items() if k != "source"}, "coupon": coupon}
    return None


def _plan(price: Doc) -> Doc:
    """A price by its older name."""
    recurring = price["recurring"] or {"interval": None, "interval_count": None}
    kept = ("active", "billing_scheme", "created", "currency", "id", "livemode", "metadata",
            "nickname", "product", "tiers_mode")  # fmt: skip
    return {
        **{key: price[key] for key in kept},
        "object": "plan",
        "aggregate_usage": None,
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": recurring.get("meter"),
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring.get("trial_period_days"),
        "usage_type": recurring.get("usage_type", "licensed"),
    }


_BEFORE_BASIL = {
    "charge": _charge,
    "invoice": _invoice,
    "payment_intent": _payment_intent,
    "subscription": _subscription,
}
