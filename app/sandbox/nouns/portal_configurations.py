"""What customers may do in the billing portal."""

from app.sandbox.core import ids
from app.sandbox.core.lists import is_, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Spec,
    Text,
    Url,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.sandbox import Sandbox

KIND = "billing_portal.configuration"
_PRORATIONS = ("always_invoice", "create_prorations", "none")
_REASONS = ("customer_service", "low_quality", "missing_features", "other", "switched_service",
            "too_complex", "too_expensive", "unused")  # fmt: skip
_UPDATES = ("address", "email", "name", "phone", "shipping", "tax_id")


def _switch(**others: Spec) -> Fields:
    return Fields({"enabled": Flag(), **others}, needs=("enabled",))


_FEATURES = Fields(
    {
        "customer_update": _switch(allowed_updates=Many(one_of(*_UPDATES), clears=True)),
        "invoice_history": _switch(),
        "payment_method_update": _switch(),
        "subscription_cancel": _switch(
            cancellation_reason=_switch(options=Many(one_of(*_REASONS), clears=True)),
            mode=one_of("at_period_end", "immediately"),
            proration_behavior=one_of(*_PRORATIONS),
        ),
        "subscription_update": _switch(
            default_allowed_updates=Many(
                one_of("price", "promotion_code", "quantity"), clears=True
            ),
            products=Many(
                Fields({"product": Text(), "prices": Many(Text())}, needs=("product", "prices")),
                clears=True,
            ),
            proration_behavior=one_of(*_PRORATIONS),
            schedule_at_period_end=Fields(
                {
                    "conditions": Many(
                        Fields(
                            {"type": one_of("decreasing_item_amount", "shortening_interval")},
                            needs=("type",),
                        )
                    )
                }
            ),
        ),
    }
)
_COMMON: dict[str, Spec] = {
    "business_profile": Fields(
        {
            "headline": Text(clears=True),
            "privacy_policy_url": Url(),
            "terms_of_service_url": Url(),
        }
    ),
    "default_return_url": Url(),
    "features": _FEATURES,
    "metadata": Metadata(),
    "name": Text(clears=True),
}
CREATE = Fields(_COMMON, needs=("features",))
UPDATE = Fields({**_COMMON, "active": Flag()})

_BLANK: Doc = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": None,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def create(sandbox: Sandbox, params: Doc) -> Doc:
    now = sandbox.now()
    configuration: Doc = {
        "id": ids.new("bpc"),
        "object": KIND,
        "active": True,
        "application": None,
        "business_profile": {
            "headline": None,
            "privacy_policy_url": None,
            "terms_of_service_url": None,
        },
        "created": now,
        "default_return_url": None,
        "features": _BLANK,
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": now,
    }
    return sandbox.add(_written(sandbox, configuration, params))


def retrieve(sandbox: Sandbox, params: Doc, configuration: str) -> Doc:
    return sandbox.get(KIND, configuration, "configuration")


def update(sandbox: Sandbox, params: Doc, configuration: str) -> Doc:
    found = sandbox.get(KIND, configuration, "configuration")
    return sandbox.save({**_written(sandbox, found, params), "updated": sandbox.now()})


def _written(sandbox: Sandbox, configuration: Doc, params: Doc) -> Doc:
    for product in params.get("features", {}).get("subscription_update", {}).get("products") or []:
        at = "features[subscription_update][products]"
        sandbox.named("product", product["product"], at)
        for price in product["prices"]:
            sandbox.named("price", price, at)
    features = {
        name: {**known, **_plain(params.get("features", {}).get(name, {}))}
        for name, known in configuration["features"].items()
    }
    profile = {**configuration["business_profile"], **params.get("business_profile", {})}
    return {
        **configuration,
        "active": params.get("active", configuration["active"]),
        "business_profile": _plain(profile),
        "default_return_url": params.get("default_return_url", configuration["default_return_url"]),
        "features": features,
        "metadata": merged(configuration["metadata"], params.get("metadata")),
        "name": params.get("name", configuration["name"]) or None,
    }


def _plain(sent: Doc) -> Doc:
    """Without the empty texts by which a caller clears something."""
    lists = ("allowed_updates", "default_allowed_updates", "products")
    return {
        key: ([] if key in lists else None) if value == "" else value for key, value in sent.items()
    }


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    wanted = [is_(key, int(params[key])) for key in ("active", "is_default") if key in params]
    return page(sandbox, KIND, "/v1/billing_portal/configurations", params, wanted)


_ALL = "/v1/billing_portal/configurations"
_ONE = _ALL + "/{configuration}"
OPERATIONS = (
    Operation("POST", _ALL, create, CREATE, "billing_portal.ConfigurationCreateParams"),
    Operation(
        "GET",
        _ALL,
        list_,
        listing(active=Flag(), is_default=Flag()),
        "billing_portal.ConfigurationListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "billing_portal.ConfigurationRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "billing_portal.ConfigurationUpdateParams"),
)
