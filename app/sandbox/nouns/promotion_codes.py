"""Promotion codes: what a person types to get a coupon."""

from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Metadata,
    Range,
    Text,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox

CREATE = Fields(
    {
        "active": Flag(),
        "code": Text(most=500),
        "customer": Text(),
        "expires_at": instant(),
        "max_redemptions": Whole(least=1),
        "metadata": Metadata(),
        "promotion": Fields({"coupon": Text(), "type": one_of("coupon")}, needs=("type", "coupon")),
        "restrictions": Fields(
            {
                "first_time_transaction": Flag(),
                "minimum_amount": Whole(least=1),
                "minimum_amount_currency": Text(),
            }
        ),
    },
    needs=("promotion",),
)
UPDATE = Fields({"active": Flag(), "metadata": Metadata()})


def create(sandbox: Sandbox, params: Doc) -> Doc:
    coupon = sandbox.named("coupon", params["promotion"]["coupon"], "promotion[coupon]")
    code = params.get("code", ids.token(8).upper())
    for other in sandbox.all("promotion_code"):
        if other["active"] and other["code"].upper() == code.upper():
            raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")
    if "customer" in params:
        sandbox.named("customer", params["customer"], "customer")
    restrictions = params.get("restrictions", {})
    return sandbox.add(
        {
            "id": ids.new("promo"),
            "object": "promotion_code",
            "active": params.get("active", True),
            "code": code,
            "created": sandbox.now(),
            "customer": params.get("customer"),
            "customer_account": None,
            "expires_at": params.get("expires_at"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": merged({}, params.get("metadata")),
            "promotion": {"type": "coupon", "coupon": coupon["id"]},
            "restrictions": {
                "first_time_transaction": restrictions.get("first_time_transaction", False),
                "minimum_amount": restrictions.get("minimum_amount"),
                "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
            },
            "times_redeemed": 0,
        },
        "promotion_code.created",
    )


def retrieve(sandbox: Sandbox, params: Doc, promotion_code: str) -> Doc:
    return sandbox.get("promotion_code", promotion_code, "promotion_code")


def update(sandbox: Sandbox, params: Doc, promotion_code: str) -> Doc:
    code = sandbox.get("promotion_code", promotion_code, "promotion_code")
    code["active"] = params.get("active", code["active"])
    code["metadata"] = merged(code["metadata"], params.get("metadata"))
    return sandbox.save(code, "promotion_code.updated")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "active", "customer", coupon="promotion.coupon")
    if "code" in params:
        conditions.append(("upper(json_extract(doc, '$.code')) = ?", params["code"].upper()))
    return page(sandbox, "promotion_code", "/v1/promotion_codes", params, conditions)


OPERATIONS = (
    Operation("POST", "/v1/promotion_codes", create, CREATE, "PromotionCodeCreateParams"),
    Operation(
        "GET",
        "/v1/promotion_codes",
        list_,
        listing(active=Flag(), code=Text(), coupon=Text(), created=Range(), customer=Text()),
        "PromotionCodeListParams",
    ),
    Operation(
        "GET",
        "/v1/promotion_codes/{promotion_code}",
        retrieve,
        NOTHING,
        "PromotionCodeRetrieveParams",
    ),
    Operation(
        "POST",
        "/v1/promotion_codes/{promotion_code}",
        update,
        UPDATE,
        "PromotionCodeUpdateParams",
    ),
)
