"""Prices: flat and metered, monthly and yearly."""

from decimal import Decimal

from app.sandbox.billing import amounts
from app.sandbox.core import ids
from app.sandbox.core.lists import among, matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Number,
    Range,
    Text,
    Whole,
    given,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid, required
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import products

INTERVALS = ("day", "month", "week", "year")
RECURRING = Fields(
    {
        "interval": one_of(*INTERVALS),
        "interval_count": Whole(least=1, most=156),
        "meter": Text(),
        "usage_type": one_of("licensed", "metered"),
        "trial_period_days": Whole(least=0, most=730),
    },
    needs=("interval",),
)
CREATE = Fields(
    {
        "active": Flag(),
        "billing_scheme": one_of("per_unit"),
        "currency": Text(most=3),
        "lookup_key": Text(most=200),
        "metadata": Metadata(),
        "nickname": Text(),
        "product": Text(),
        "product_data": Fields(
            {
                "active": Flag(),
                "id": Text(),
                "metadata": Metadata(),
                "name": Text(),
                "statement_descriptor": Text(),
                "unit_label": Text(),
            },
            needs=("name",),
        ),
        "recurring": RECURRING,
        "tax_behavior": one_of("exclusive", "inclusive", "unspecified"),
        "transfer_lookup_key": Flag(),
        "unit_amount": Whole(),
        "unit_amount_decimal": Number(),
    },
    needs=("currency",),
)
UPDATE = Fields(
    {
        "active": Flag(),
        "lookup_key": Text(clears=True),
        "metadata": Metadata(),
        "nickname": Text(clears=True),
        "transfer_lookup_key": Flag(),
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if "product_data" in params:
        product = products.create(sandbox, params["product_data"])
    elif "product" in params:
        product = sandbox.named("product", params["product"], "product")
    else:
        raise required("product")
    price = build(sandbox, ids.new("price"), product["id"], params)
    _take_lookup_key(sandbox, price, params)
    return sandbox.add(price, "price.created")


def build(sandbox: Sandbox, id: str, product: str, params: Doc) -> Doc:
    """A price document from its parameters."""
    currency = params["currency"].lower()
    if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise invalid(f"Invalid currency: {currency}", "currency")
    amount, exact = _amount(params)
    recurring = params.get("recurring")
    return {
        "id": id,
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": sandbox.now(),
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": merged({}, params.get("metadata")),
        "nickname": params.get("nickname"),
        "product": product,
        "recurring": {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": recurring.get("meter"),
            "trial_period_days": recurring.get("trial_period_days"),
            "usage_type": recurring.get("usage_type", "licensed"),
        }
        if recurring
        else None,
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": exact,
    }


def _amount(params: Doc) -> tuple[int | None, str]:
    if "unit_amount" in params:
        return params["unit_amount"], str(params["unit_amount"])
    if "unit_amount_decimal" not in params:
        raise required("unit_amount")
    exact = Decimal(params["unit_amount_decimal"])
    if exact < 0:
        raise invalid("A price is not negative.", "unit_amount_decimal")
    whole = amounts.whole(exact) if exact == exact.to_integral_value() else None
    return whole, f"{exact.normalize():f}"


def _take_lookup_key(sandbox: Sandbox, price: Doc, params: Doc) -> None:
    if not price["lookup_key"]:
        price["lookup_key"] = None
        return
    for holder in sandbox.all("price", lookup_key=price["lookup_key"]):
        if holder["id"] == price["id"]:
            continue
        if not params.get("transfer_lookup_key"):
            raise invalid(f"A price (`{holder['id']}`) already uses that lookup key.", "lookup_key")
        holder["lookup_key"] = None
        sandbox.save(holder, "price.updated")


def retrieve(sandbox: Sandbox, params: Doc, price: str) -> Doc:
    return sandbox.get("price", price, "price")


def update(sandbox: Sandbox, params: Doc, price: str) -> Doc:
    doc = sandbox.get("price", price, "price")
    doc.update(given(params, "active", "nickname", "lookup_key"))
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if "lookup_key" in params:
        _take_lookup_key(sandbox, doc, params)
    return sandbox.save(doc, "price.updated")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "active", "currency", "product", "type")
    if "lookup_keys" in params:
        conditions.append(among("$.lookup_key", params["lookup_keys"]))
    for key, value in params.get("recurring", {}).items():
        conditions.extend(matching({key: value}, **{key: f"recurring.{key}"}))
    return page(sandbox, "price", "/v1/prices", params, conditions)


OPERATIONS = (
    Operation("POST", "/v1/prices", create, CREATE, "PriceCreateParams"),
    Operation(
        "GET",
        "/v1/prices",
        list_,
        listing(
            active=Flag(),
            created=Range(),
            currency=Text(),
            lookup_keys=Many(Text(), most=10),
            product=Text(),
            recurring=Fields(
                {
                    "interval": one_of(*INTERVALS),
                    "meter": Text(),
                    "usage_type": one_of("licensed", "metered"),
                }
            ),
            type=one_of("one_time", "recurring"),
        ),
        "PriceListParams",
    ),
    Operation("GET", "/v1/prices/{price}", retrieve, NOTHING, "PriceRetrieveParams"),
    Operation("POST", "/v1/prices/{price}", update, UPDATE, "PriceUpdateParams"),
)
