"""Coupons."""

from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Metadata,
    Number,
    Range,
    Text,
    Whole,
    given,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid, required
from app.sandbox.core.sandbox import Sandbox

CREATE = Fields(
    {
        "amount_off": Whole(least=1),
        "currency": Text(most=3),
        "duration": one_of("forever", "once", "repeating"),
        "duration_in_months": Whole(least=1, most=120),
        "id": Text(),
        "max_redemptions": Whole(least=1),
        "metadata": Metadata(),
        "name": Text(most=40),
        "percent_off": Number(most=100),
        "redeem_by": instant(),
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if ("percent_off" in params) == ("amount_off" in params):
        raise invalid("You must pass exactly one of percent_off and amount_off.", "percent_off")
    if "amount_off" in params and "currency" not in params:
        raise required("currency")
    duration = params.get("duration", "once")
    if duration == "repeating" and "duration_in_months" not in params:
        raise required("duration_in_months")
    percent = float(params["percent_off"]) if "percent_off" in params else None
    if percent is not None and percent <= 0:
        raise invalid("percent_off must be greater than 0.", "percent_off")
    name = params.get("id", ids.token(8))
    if sandbox.find("coupon", name) is not None:
        raise invalid(f"Coupon already exists: {name}", "id", "resource_already_exists")
    return sandbox.add(
        {
            "id": name,
            "object": "coupon",
            "amount_off": params.get("amount_off"),
            "created": sandbox.now(),
            "currency": params["currency"].lower() if "amount_off" in params else None,
            "duration": duration,
            "duration_in_months": params["duration_in_months"] if duration == "repeating" else None,
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": merged({}, params.get("metadata")),
            "name": params.get("name"),
            "percent_off": percent,
            "redeem_by": params.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
        },
        "coupon.created",
    )


def retrieve(sandbox: Sandbox, params: Doc, coupon: str) -> Doc:
    return sandbox.get("coupon", coupon, "coupon")


def update(sandbox: Sandbox, params: Doc, coupon: str) -> Doc:
    doc = sandbox.get("coupon", coupon, "coupon")
    doc.update(given(params, "name"))
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    return sandbox.save(doc, "coupon.updated")


def delete(sandbox: Sandbox, params: Doc, coupon: str) -> Doc:
    """Nobody can redeem it any more; who has redeemed it keeps the discount."""
    doc = sandbox.get("coupon", coupon, "coupon")
    sandbox.emit("coupon.deleted", doc)
    sandbox.save({**doc, "deleted": True, "valid": False})
    return {"id": coupon, "object": "coupon", "deleted": True}


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    return page(sandbox, "coupon", "/v1/coupons", params, matching(params))


OPERATIONS = (
    Operation("POST", "/v1/coupons", create, CREATE, "CouponCreateParams"),
    Operation("GET", "/v1/coupons", list_, listing(created=Range()), "CouponListParams"),
    Operation("GET", "/v1/coupons/{coupon}", retrieve, NOTHING, "CouponRetrieveParams"),
    Operation(
        "POST",
        "/v1/coupons/{coupon}",
        update,
        Fields({"metadata": Metadata(), "name": Text(clears=True, most=40)}),
        "CouponUpdateParams",
    ),
    Operation("DELETE", "/v1/coupons/{coupon}", delete, NOTHING, "CouponDeleteParams"),
)
