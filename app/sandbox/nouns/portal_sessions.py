"""Billing portal sessions: a link to a page on which customers help themselves."""

from app.sandbox.core import ids
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Doc, Fields, Many, Text, Url, Whole, one_of
from app.sandbox.core.refusals import invalid, required
from app.sandbox.core.sandbox import Sandbox

_FLOWS = ("payment_method_update", "subscription_cancel", "subscription_update",
          "subscription_update_confirm")  # fmt: skip
_OF_SUBSCRIPTION = Fields({"subscription": Text()}, needs=("subscription",))
CREATE = Fields(
    {
        "configuration": Text(),
        "customer": Text(),
        "flow_data": Fields(
            {
                "subscription_cancel": _OF_SUBSCRIPTION,
                "subscription_update": _OF_SUBSCRIPTION,
                "subscription_update_confirm": Fields(
                    {
                        "items": Many(
                            Fields(
                                {"id": Text(), "price": Text(), "quantity": Whole()}, needs=("id",)
                            ),
                            most=1,
                        ),
                        "subscription": Text(),
                    },
                    needs=("items", "subscription"),
                ),
                "type": one_of(*_FLOWS),
            },
            needs=("type",),
        ),
        "locale": Text(most=10),
        "return_url": Url(),
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if "customer" not in params:
        raise required("customer")
    customer = sandbox.named("customer", params["customer"], "customer")
    if "configuration" in params:
        sandbox.named("billing_portal.configuration", params["configuration"], "configuration")
    name = ids.new("bps")
    return sandbox.add(
        {
            "id": name,
            "object": "billing_portal.session",
            "after_expiration": None,
            "configuration": params.get("configuration", "bpc_sandbox"),
            "created": sandbox.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": _flow(sandbox, customer, params.get("flow_data")),
            "livemode": False,
            "locale": params.get("locale"),
            "on_behalf_of": None,
            "return_url": params.get("return_url"),
            "url": f"{sandbox.config.base_url}/p/session/{name}",
        }
    )


def _flow(sandbox: Sandbox, customer: Doc, sent: Doc | None) -> Doc | None:
    if sent is None:
        return None
    flow: Doc = {
        "type": sent["type"],
        "after_completion": {
            "type": "portal_homepage",
            "hosted_confirmation": None,
            "redirect": None,
        },
        "subscription_cancel": None,
        "subscription_update": None,
        "subscription_update_confirm": None,
    }
    if sent["type"] == "payment_method_update":
        return flow
    details = sent.get(sent["type"])
    at = f"flow_data[{sent['type']}]"
    if details is None:
        raise required(at)
    at = f"{at}[subscription]"
    subscription = sandbox.named("subscription", details["subscription"], at)
    if subscription["customer"] != customer["id"]:
        raise invalid("The subscription belongs to another customer.", at)
    flow[sent["type"]] = {"subscription": subscription["id"]}
    if sent["type"] == "subscription_cancel":
        flow["subscription_cancel"]["retention"] = None
    if "items" in details:
        flow[sent["type"]]["discounts"] = None
        flow[sent["type"]]["items"] = [
            {"id": one["id"], "price": one.get("price"), "quantity": one.get("quantity", 1)}
            for one in details["items"]
        ]
    return flow


OPERATIONS = (
    Operation(
        "POST",
        "/v1/billing_portal/sessions",
        create,
        CREATE,
        "billing_portal.SessionCreateParams",
    ),
)
