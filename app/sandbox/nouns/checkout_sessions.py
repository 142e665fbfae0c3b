"""Checkout sessions, for subscriptions: an order that a person completes on a page."""

import re

from app.sandbox.billing import discounting, items
from app.sandbox.billing.ordering import priced
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page, page_of
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Range,
    Text,
    Url,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import Refusal, invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns.subscriptions import TRIAL_SETTINGS

CREATE = Fields(
    {
        "allow_promotion_codes": Flag(),
        "billing_address_collection": one_of("auto", "required"),
        "cancel_url": Url(),
        "client_reference_id": Text(most=200),
        "currency": Text(most=3),
        "customer": Text(),
        "customer_email": Text(most=800),
        "customer_update": Fields(
            {key: one_of("auto", "never") for key in ("address", "name", "shipping")}
        ),
        "discounts": Many(Fields({"coupon": Text(), "promotion_code": Text()}), most=1),
        "expires_at": instant(),
        "line_items": Many(
            Fields({"price": Text(), "quantity": Whole(least=1), "metadata": Metadata()}), most=20
        ),
        "locale": Text(most=10),
        "metadata": Metadata(),
        "mode": one_of("subscription"),
        "payment_method_collection": one_of("always", "if_required"),
        "subscription_data": Fields(
            {
                "description": Text(),
                "metadata": Metadata(),
                "trial_end": instant(),
                "trial_period_days": Whole(least=1, most=730),
                "trial_settings": TRIAL_SETTINGS,
            }
        ),
        "success_url": Text(),
        "ui_mode": one_of("hosted_page"),
    },
    needs=("mode",),
    refused={
        "payment_method_types": (
            "payment_method_types_no_longer_supported",
            (
                "The `payment_method_types` parameter is no longer supported on Checkout Sessions. "
                "Payment methods are chosen dynamically; use `allowed_payment_method_types` or "
                "`excluded_payment_method_types` to limit them."
            ),
        )
    },
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    _check(sandbox, params)
    customer = params.get("customer")
    if customer:
        sandbox.named("customer", customer, "customer")
    now = sandbox.now()
    expires_at = params.get("expires_at", now + DAY)
    if not now + 1800 <= expires_at <= now + DAY:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from "
            "Checkout Session creation.",
            "expires_at",
        )
    name = f"cs_test_{ids.token(58)}"
    session: Doc = {
        "id": name,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": params.get("allow_promotion_codes"),
        "allowed_payment_method_types": None,
        "amount_subtotal": 0,
        "amount_total": 0,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": params.get("billing_address_collection"),
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": now,
        "currency": None,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer,
        "customer_account": None,
        "customer_creation": None if customer else "always",
        "customer_details": None,
        "customer_email": params.get("customer_email"),
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": params.get("locale"),
        "metadata": merged({}, params.get("metadata")),
        "mode": "subscription",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": params.get("payment_method_collection", "always"),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": params["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{sandbox.config.base_url}/c/pay/{name}",
        "wallet_options": None,
        "_items": _items(sandbox, params["line_items"]),
        "_subscription_data": params.get("subscription_data", {}),
    }
    for n, sent in enumerate(params.get("discounts", [])):
        discounting.redeemable(sandbox, sent, f"discounts[{n}]", customer)
        session["discounts"].append(
            {"coupon": sent.get("coupon"), "promotion_code": sent.get("promotion_code")}
        )
    priced(sandbox, session)
    if params.get("currency", session["currency"]) != session["currency"]:
        raise invalid(f"The prices are not in {params['currency']}.", "currency")
    sandbox.wake(session, expires_at)
    return sandbox.add(session)


def _check(sandbox: Sandbox, params: Doc) -> None:
    if "success_url" not in params:
        raise required("success_url")
    if not re.match(r"https?://[^\s/]+\S*\Z", params["success_url"]):
        raise Refusal("Not a valid URL", code="url_invalid", param="success_url")
    if not params.get("line_items"):
        raise required("line_items")
    if "customer" in params and "customer_email" in params:
        raise invalid("You may only specify one of these parameters: customer, customer_email.",
                      "customer")  # fmt: skip
    if params.get("discounts") and "allow_promotion_codes" in params:
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            "discounts",
        )
    data = params.get("subscription_data", {})
    if "trial_end" in data and "trial_period_days" in data:
        raise invalid("You cannot set both trial_end and trial_period_days.",
                      "subscription_data[trial_end]")  # fmt: skip
    if "trial_end" in data and data["trial_end"] < sandbox.now() + 2 * DAY:
        raise invalid("The `trial_end` date has to be at least 2 days in the future.",
                      "subscription_data[trial_end]")  # fmt: skip


def _items(sandbox: Sandbox, sent: list[Doc]) -> list[Doc]:
    made = []
    for n, one in enumerate(sent):
        at = f"line_items[{n}]"
        if "price" not in one:
            raise required(f"{at}[price]")
        price = items.recurring_price(sandbox, one["price"], f"{at}[price]")
        metered = price["recurring"]["usage_type"] == "metered"
        if not metered and "quantity" not in one:
            raise required(f"{at}[quantity]")
        item: Doc = {"id": ids.new("li"), "price": price["id"], "metadata": one.get("metadata")}
        quantity = items.check_quantity(price, one, at)
        if quantity is not None:
            item["quantity"] = quantity
        made.append(item)
    return made


def retrieve(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    return sandbox.get("checkout.session", session, "session")


def update(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    doc = sandbox.get("checkout.session", session, "session")
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    return sandbox.save(doc)


def expire(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    doc = sandbox.get("checkout.session", session, "session")
    if doc["status"] != "open":
        raise wrong_state(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {doc['status']}."
        )
    return lapse(sandbox, doc)


def lapse(sandbox: Sandbox, session: Doc) -> Doc:
    """Nobody completed it."""
    if session["status"] == "open":
        session.update(status="expired", url=None)
        sandbox.wake(session, None)
        sandbox.save(session)
        sandbox.emit("checkout.session.expired", session)
    return session


def keep_appointment(sandbox: Sandbox, session: Doc) -> None:
    lapse(sandbox, session)


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "payment_intent", "subscription", "status")
    return page(sandbox, "checkout.session", "/v1/checkout/sessions", params, conditions)


def line_items(sandbox: Sandbox, session: Doc) -> Doc:
    """What `expand[]=line_items` puts on a session."""
    doc = sandbox.get("checkout.session", session["id"])
    return list_line_items(sandbox, {"limit": 100}, doc["id"])


def list_line_items(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    doc = sandbox.get("checkout.session", session, "session")
    url = f"/v1/checkout/sessions/{session}/line_items"
    return page_of(priced(sandbox, doc), url, params)


_ONE = "/v1/checkout/sessions/{session}"
OPERATIONS = (
    Operation("POST", "/v1/checkout/sessions", create, CREATE, "checkout.SessionCreateParams"),
    Operation(
        "GET",
        "/v1/checkout/sessions",
        list_,
        listing(
            created=Range(),
            customer=Text(),
            payment_intent=Text(),
            status=one_of("open", "complete", "expired"),
            subscription=Text(),
        ),
        "checkout.SessionListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "checkout.SessionRetrieveParams"),
    Operation(
        "POST", _ONE, update, Fields({"metadata": Metadata()}), "checkout.SessionUpdateParams"
    ),
    Operation("POST", f"{_ONE}/expire", expire, NOTHING, "checkout.SessionExpireParams"),
    Operation(
        "GET",
        f"{_ONE}/line_items",
        list_line_items,
        listing(),
        "checkout.SessionLineItemListParams",
    ),
)
