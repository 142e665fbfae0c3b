"""Prices: flat, tiered and metered, monthly and yearly."""

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
_TIER = Fields(
    {
        "flat_amount": Whole(),
        "flat_amount_decimal": Number(),
        "unit_amount": Whole(),
        "unit_amount_decimal": Number(),
        "up_to": Whole(least=1, words=("inf",)),
    },
    needs=("up_to",),
)
CREATE = Fields(
    {
        "active": Flag(),
        "billing_scheme": one_of("per_unit", "tiered"),
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
        "tiers": Many(_TIER),
        "tiers_mode": one_of("graduated", "volume"),
        "transfer_lookup_key": Flag(),
        "transform_quantity": Fields(
            {"divide_by": Whole(least=1), "round": one_of("down", "up")},
            needs=("divide_by", "round"),
        ),
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
    _check_meter(sandbox, params.get("recurring", {}))
    price = build(sandbox, ids.new("price"), product["id"], params)
    _take_lookup_key(sandbox, price, params)
    return sandbox.add(price, "price.created")


def build(sandbox: Sandbox, id: str, product: str, params: Doc) -> Doc:
    """A price document from its parameters."""
    currency = params["currency"].lower()
    if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise invalid(f"Invalid currency: {currency}", "currency")
    tiers = _tiers(params)
    amount, exact = _amount(params) if tiers is None else (None, None)
    recurring = params.get("recurring")
    return {
        "id": id,
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit" if tiers is None else "tiered",
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
        "tiers_mode": params.get("tiers_mode"),
        "transform_quantity": params.get("transform_quantity"),
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": exact,
        **({} if tiers is None else {"_tiers": tiers}),
    }


def _check_meter(sandbox: Sandbox, recurring: Doc) -> None:
    if recurring.get("usage_type") == "metered" and "meter" not in recurring:
        raise required("recurring[meter]")
    if "meter" in recurring:
        if recurring.get("usage_type") != "metered":
            raise invalid("Only a metered price has a meter.", "recurring[meter]")
        meter = sandbox.named("billing.meter", recurring["meter"], "recurring[meter]")
        if meter["status"] != "active":
            raise invalid(f"The meter {meter['id']} is not active.", "recurring[meter]")


def _tiers(params: Doc) -> list[Doc] | None:
    """The steps of a tiered price as it shows them, or nothing for a price per unit."""
    if params.get("billing_scheme") != "tiered":
        if "tiers" in params or "tiers_mode" in params:
            raise invalid("Tiers need billing_scheme=tiered.", "tiers")
        return None
    for key in ("tiers", "tiers_mode"):
        if not params.get(key):
            raise required(key)
    tiers = [_tier(sent, f"tiers[{n}]") for n, sent in enumerate(params["tiers"])]
    ends = [tier["up_to"] for tier in tiers]
    if ends[-1] is not None or None in ends[:-1] or ends[:-1] != sorted(set(ends[:-1])):
        raise invalid("Tiers go up, and the last one is up to `inf`.", "tiers")
    return tiers


def _tier(sent: Doc, at: str) -> Doc:
    unit = _amount(sent, "unit_amount") if _names(sent, "unit_amount") else (None, None)
    flat = _amount(sent, "flat_amount") if _names(sent, "flat_amount") else (None, None)
    if unit[1] is None and flat[1] is None:
        raise required(f"{at}[unit_amount]")
    return {
        "flat_amount": flat[0],
        "flat_amount_decimal": flat[1],
        "unit_amount": unit[0],
        "unit_amount_decimal": unit[1],
        "up_to": None if sent["up_to"] == "inf" else sent["up_to"],
    }


def _names(sent: Doc, key: str) -> bool:
    return key in sent or f"{key}_decimal" in sent


def _amount(params: Doc, key: str = "unit_amount") -> tuple[int | None, str]:
    if key in params:
        return params[key], str(params[key])
    if f"{key}_decimal" not in params:
        raise required(key)
    exact = Decimal(params[f"{key}_decimal"])
    if exact < 0:
        raise invalid("A price is not negative.", f"{key}_decimal")
    whole = amounts.whole(exact) if exact == exact.to_integral_value() else None
    return whole, f"{exact.normalize():f}"


def tiers_of(sandbox: Sandbox, price: Doc) -> list[Doc] | None:
    """What `expand[]=tiers` puts on a price."""
    tiers: list[Doc] | None = sandbox.get("price", price["id"]).get("_tiers")
    return tiers


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
