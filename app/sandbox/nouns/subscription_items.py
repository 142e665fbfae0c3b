"""Subscription items, one at a time: other words for an update of their subscription."""

from app.sandbox.core.lists import page_of
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Metadata,
    Spec,
    Text,
    Whole,
    instant,
    listing,
    merged,
)
from app.sandbox.core.refusals import missing
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import subscriptions

_HOW: dict[str, Spec] = {
    "payment_behavior": subscriptions.PAYMENT_BEHAVIOR,
    "proration_behavior": subscriptions.PRORATION,
    "proration_date": instant(),
}
_WHAT: dict[str, Spec] = {"metadata": Metadata(), "price": Text(), "quantity": Whole()}
CREATE = Fields({**_WHAT, **_HOW, "subscription": Text()}, needs=("subscription",))


def create(sandbox: Sandbox, params: Doc) -> Doc:
    subscription = sandbox.named("subscription", params["subscription"], "subscription")
    before = {item["id"] for item in subscription["items"]["data"]}
    _change(sandbox, subscription, {key: params[key] for key in _WHAT if key in params}, params)
    pending: Doc = subscription["pending_update"] or {}
    after = pending.get("subscription_items") or subscription["items"]["data"]
    return next(item for item in after if item["id"] not in before)


def _change(sandbox: Sandbox, subscription: Doc, item: Doc, params: Doc) -> None:
    how = {key: params[key] for key in _HOW if key in params}
    subscriptions.update(sandbox, {"items": [item], **how}, subscription["id"])


def _holder(sandbox: Sandbox, item: str) -> Doc:
    rows = sandbox.store.select(
        "subscription",
        [(("EXISTS (SELECT 1 FROM json_each(doc, '$.items.data') WHERE "
          "json_extract(value, '$.id') = ?)"), item)],
        limit=1,
    )  # fmt: skip
    if not rows:
        raise missing("subscription_item", item, "item")
    return sandbox.get("subscription", rows[0]["id"])


def retrieve(sandbox: Sandbox, params: Doc, item: str) -> Doc:
    found = _holder(sandbox, item)["items"]["data"]
    return next(one for one in found if one["id"] == item)


def update(sandbox: Sandbox, params: Doc, item: str) -> Doc:
    subscription = _holder(sandbox, item)
    if params.keys() <= {"metadata"}:
        found = retrieve(sandbox, {}, item)
        found["metadata"] = merged(found["metadata"], params.get("metadata"))
        sandbox.save(subscription, "customer.subscription.updated")
        return found
    what = {key: params[key] for key in _WHAT if key in params}
    _change(sandbox, subscription, {"id": item, **what}, params)
    return retrieve(sandbox, {}, item)


def delete(sandbox: Sandbox, params: Doc, item: str) -> Doc:
    _change(sandbox, _holder(sandbox, item), {"id": item, "deleted": True}, params)
    return {"id": item, "object": "subscription_item", "deleted": True}


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    subscription = sandbox.named("subscription", params["subscription"], "subscription")
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return page_of(subscription["items"]["data"], url, params)


_ONE = "/v1/subscription_items/{item}"
OPERATIONS = (
    Operation("POST", "/v1/subscription_items", create, CREATE, "SubscriptionItemCreateParams"),
    Operation(
        "GET",
        "/v1/subscription_items",
        list_,
        Fields({**listing().known, "subscription": Text()}, needs=("subscription",)),
        "SubscriptionItemListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "SubscriptionItemRetrieveParams"),
    Operation("POST", _ONE, update, Fields({**_WHAT, **_HOW}), "SubscriptionItemUpdateParams"),
    Operation("DELETE", _ONE, delete, Fields(_HOW), "SubscriptionItemDeleteParams"),
)
