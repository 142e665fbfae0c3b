"""Subscriptions: begin, change, cancel."""

from app.sandbox.billing import (
    changes,
    discounting,
    renewal,
    schedules,
    standing,
    starting,
)
from app.sandbox.config import DAY
from app.sandbox.core.lists import Condition, among, is_, matching, of_clock, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    CLEARED,
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Range,
    Text,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import Refusal, invalid, missing, missing_reference, wrong_state
from app.sandbox.core.sandbox import Sandbox

STATUSES = ("active", "canceled", "incomplete", "incomplete_expired", "past_due", "paused",
            "trialing", "unpaid")  # fmt: skip
FEEDBACK = ("customer_service", "low_quality", "missing_features", "other", "switched_service",
            "too_complex", "too_expensive", "unused")  # fmt: skip
TRIAL_SETTINGS = Fields(
    {
        "end_behavior": Fields(
            {"missing_payment_method": one_of("cancel", "create_invoice", "pause")},
            needs=("missing_payment_method",),
        )
    },
    needs=("end_behavior",),
)
DISCOUNTS = Many(Fields({"coupon": Text(), "promotion_code": Text()}), clears=True, most=20)
PRORATION = one_of("always_invoice", "create_prorations", "none")
PAYMENT_BEHAVIOR = one_of(
    "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"
)
CANCELLATION = Fields({"comment": Text(clears=True), "feedback": one_of(*FEEDBACK, clears=True)})
PAYMENT_SETTINGS = Fields({"save_default_payment_method": one_of("off", "on_subscription")})
_PERIOD_ENDS = ("max_period_end", "min_period_end")
CREATE = Fields(
    {
        "cancel_at": instant(*_PERIOD_ENDS),
        "cancel_at_period_end": Flag(),
        "billing_mode": Fields(
            {
                "flexible": Fields({"proration_discounts": one_of("included")}),
                "type": one_of("classic", "flexible"),
            },
            needs=("type",),
        ),
        "collection_method": one_of("charge_automatically", "send_invoice"),
        "currency": Text(most=3),
        "customer": Text(),
        "days_until_due": Whole(),
        "default_payment_method": Text(),
        "description": Text(),
        "discounts": DISCOUNTS,
        "items": Many(
            Fields({"metadata": Metadata(), "price": Text(), "quantity": Whole()}), most=20
        ),
        "metadata": Metadata(),
        "off_session": Flag(),
        "payment_behavior": PAYMENT_BEHAVIOR,
        "payment_settings": PAYMENT_SETTINGS,
        "proration_behavior": PRORATION,
        "trial_end": instant("now"),
        "trial_period_days": Whole(least=1, most=730),
        "trial_settings": TRIAL_SETTINGS,
    },
    needs=("customer", "items"),
)
ITEM_CHANGES = Many(
    Fields(
        {
            "deleted": Flag(),
            "id": Text(),
            "metadata": Metadata(),
            "price": Text(),
            "quantity": Whole(),
        }
    ),
    most=20,
)
UPDATE = Fields(
    {
        "billing_cycle_anchor": Fields({"type": one_of("now", "unchanged")}, needs=("type",)),
        "cancel_at": instant(*_PERIOD_ENDS, clears=True),
        "cancel_at_period_end": Flag(),
        "cancellation_details": CANCELLATION,
        "default_payment_method": Text(clears=True),
        "description": Text(clears=True),
        "discounts": DISCOUNTS,
        "items": ITEM_CHANGES,
        "metadata": Metadata(),
        "off_session": Flag(),
        "pause_collection": Fields(
            {
                "behavior": one_of("keep_as_draft", "mark_uncollectible", "void"),
                "resumes_at": instant(),
            },
            needs=("behavior",),
            clears=True,
        ),
        "payment_behavior": PAYMENT_BEHAVIOR,
        "payment_settings": PAYMENT_SETTINGS,
        "proration_behavior": PRORATION,
        "proration_date": instant(),
        "trial_end": instant("now"),
        "trial_settings": TRIAL_SETTINGS,
    }
)
_MAY_WAIT = {
    "billing_cycle_anchor",
    "discounts",
    "items",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
    "off_session",
}
"""What a change that waits for its payment may hold."""


def create(sandbox: Sandbox, params: Doc) -> Doc:
    customer = sandbox.named("customer", params["customer"], "customer")
    if "trial_end" in params and "trial_period_days" in params:
        raise invalid("You cannot set both trial_end and trial_period_days.", "trial_end")
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        raise invalid(
            "`pending_if_incomplete` is for updates of a subscription, not for its creation.",
            "payment_behavior",
        )
    trial_end = params.get("trial_end")
    if "trial_period_days" in params:
        trial_end = sandbox.now() + params["trial_period_days"] * DAY
    if isinstance(trial_end, int) and trial_end <= sandbox.now():
        raise invalid("Invalid timestamp: must be in the future.", "trial_end")
    cancel_at = params.get("cancel_at")
    if isinstance(cancel_at, int) and cancel_at <= sandbox.now():
        raise invalid("The cancel_at timestamp must be in the future.", "cancel_at")
    if cancel_at is not None and params.get("cancel_at_period_end"):
        raise _one_end_only()
    by_mail = params.get("collection_method") == "send_invoice"
    if by_mail != ("days_until_due" in params):
        raise invalid(
            "`days_until_due` goes with `collection_method` set to `send_invoice`.",
            "days_until_due",
        )
    return starting.start(
        sandbox,
        starting.Order(
            customer=customer,
            items=params["items"],
            metadata=merged({}, params.get("metadata")),
            method=_own_method(sandbox, customer, params.get("default_payment_method")),
            trial_end=trial_end if isinstance(trial_end, int) else None,
            trial_settings=params.get("trial_settings"),
            discounts=discounting.chosen(sandbox, params.get("discounts"), customer["id"]),
            description=params.get("description"),
            cancel_at=cancel_at,
            cancel_at_period_end=params.get("cancel_at_period_end", False),
            currency=params.get("currency"),
            payment_behavior=behavior,
            off_session=params.get("off_session", False),
            saves_method=params.get("payment_settings", {}).get("save_default_payment_method")
            == "on_subscription",
            days_until_due=params.get("days_until_due"),
            billing_mode=params.get("billing_mode", {}).get("type", "flexible"),
        ),
    )


def _own_method(sandbox: Sandbox, customer: Doc, id: str | None) -> Doc | None:
    if not id:
        return None
    method = sandbox.find("payment_method", id)
    if method is None:
        raise missing_reference("PaymentMethod", id, "default_payment_method")
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {id}. The payment method "
            "must be attached to the customer.",
            "default_payment_method",
            "resource_missing",
        )
    return method


def retrieve(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return sandbox.get("subscription", id)


def update(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    subscription = sandbox.get("subscription", id)
    _check_changeable(sandbox, subscription, params)
    customer = sandbox.get("customer", subscription["customer"])
    subscription["metadata"] = merged(subscription["metadata"], params.get("metadata"))
    if "default_payment_method" in params:
        method = _own_method(sandbox, customer, params["default_payment_method"])
        subscription["default_payment_method"] = method["id"] if method else None
    if "description" in params:
        subscription["description"] = params["description"] or None
    if "trial_settings" in params:
        subscription["trial_settings"] = params["trial_settings"]
    if "pause_collection" in params:
        _hold_collection(sandbox, subscription, params["pause_collection"])
    if "payment_settings" in params:
        subscription["payment_settings"].update(params["payment_settings"])
    if "discounts" in params:
        chosen = discounting.chosen(sandbox, params["discounts"], customer["id"])
        discounting.redeem(sandbox, chosen, subscription)
    _schedule_end(sandbox, subscription, params)
    ends_trial = subscription["status"] == "trialing" and params.get("trial_end") == "now"
    if ends_trial and renewal.ends_for_want_of_method(sandbox, subscription):
        return subscription
    if params.keys() & {"items", "trial_end", "billing_cycle_anchor"}:
        change = changes.plan(sandbox, subscription, params)
        changes.make(sandbox, subscription, change, params)
        if "items" in params and not subscription["pending_update"]:
            schedules.follow(sandbox, subscription)
    else:
        standing.keep(sandbox, subscription, "customer.subscription.updated")
    return subscription


def _hold_collection(sandbox: Sandbox, subscription: Doc, sent: Doc | str) -> None:
    """Invoices are still made, and nobody has to pay them."""
    if not isinstance(sent, dict):
        subscription["pause_collection"] = None
        return
    until = sent.get("resumes_at")
    if until is not None and until <= sandbox.now():
        raise invalid("resumes_at must be in the future.", "pause_collection[resumes_at]")
    subscription["pause_collection"] = {"behavior": sent["behavior"], "resumes_at": until}


def _check_changeable(sandbox: Sandbox, subscription: Doc, params: Doc) -> None:
    changed = params.keys() - {"metadata", "cancellation_details"}
    if subscription["status"] in standing.TERMINAL and changed:
        raise wrong_state(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    waits = params.get("payment_behavior") == "pending_if_incomplete"
    if waits and (wrong := sorted(params.keys() - _MAY_WAIT)):
        raise invalid(
            "When `payment_behavior` is `pending_if_incomplete` only the parameters of a pending "
            f"update may be passed; `{wrong[0]}` may not.",
            wrong[0],
        )
    if subscription["pending_update"] and "items" in params:
        raise wrong_state("This subscription has a pending update; pay or void its invoice first.")
    if params.keys() & {"cancel_at", "cancel_at_period_end"}:
        if "cancel_at" in params and params.get("cancel_at_period_end"):
            raise _one_end_only()
        schedule = standing.schedule_of(sandbox, subscription)
        if schedule is not None:
            raise wrong_state(
                f"The subscription is managed by the subscription schedule `{schedule['id']}`, "
                "and updating any cancelation behavior directly is not allowed. Please update the "
                "schedule instead."
            )


def _one_end_only() -> Refusal:
    return invalid("You may only pass one of cancel_at and cancel_at_period_end.", "cancel_at")


def _schedule_end(sandbox: Sandbox, subscription: Doc, params: Doc) -> None:
    now = sandbox.now()
    details = params.get("cancellation_details")
    if details is not None:
        kept = {key: value or None for key, value in details.items()}
        subscription["cancellation_details"] = {**subscription["cancellation_details"], **kept}
    if not params.keys() & {"cancel_at", "cancel_at_period_end"}:
        return
    by_flag = params.get("cancel_at_period_end")
    if "cancel_at" not in params and not by_flag and not subscription["cancel_at_period_end"]:
        # Taking the flag back does not take back a date, such as the portal sets.
        return
    at = params.get("cancel_at", CLEARED)
    if by_flag or at == "max_period_end":
        at = standing.period_end(subscription)
    elif at == "min_period_end":
        at = standing.renewal_due(subscription)
    if at == CLEARED:
        subscription.update(cancel_at=None, cancel_at_period_end=False, canceled_at=None)
        subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
        return
    if at <= now:
        raise invalid("The cancel_at timestamp must be in the future.", "cancel_at")
    subscription.update(
        cancel_at=at,
        cancel_at_period_end=bool(by_flag),
        canceled_at=now,
    )
    subscription["cancellation_details"]["reason"] = "cancellation_requested"


def cancel(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    subscription = sandbox.get("subscription", id)
    if subscription["status"] in standing.TERMINAL:
        raise missing_reference("subscription", id, "id")
    details = {key: value or None for key, value in params.get("cancellation_details", {}).items()}
    subscription["cancellation_details"] = {**subscription["cancellation_details"], **details}
    if params.get("prorate"):
        changes.give_back_unused(sandbox, subscription)
    renewal.finish(sandbox, subscription, bill=params.get("invoice_now", False), at_once=True)
    return subscription


def delete_discount(sandbox: Sandbox, params: Doc, subscription_exposed_id: str) -> Doc:
    doc = sandbox.get("subscription", subscription_exposed_id, "subscription_exposed_id")
    found = [sandbox.find("discount", name) for name in doc["discounts"]]
    doc["discounts"] = []
    standing.keep(sandbox, doc, "customer.subscription.updated")
    for discount in found:
        if discount is not None:
            return {**discount, "deleted": True}
    raise missing("discount", subscription_exposed_id, "subscription_exposed_id")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions: list[Condition] = matching(params, "customer")
    if "test_clock" in params or "customer" not in params:
        conditions.append(of_clock(params))
    status = params.get("status")
    if status is None:
        conditions.append(("json_extract(doc, '$.status') <> ?", "canceled"))
    elif status == "ended":
        conditions.append(among("$.status", list(standing.TERMINAL)))
    elif status != "all":
        conditions.append(is_("status", status))
    if "price" in params:
        conditions.append(
            (("EXISTS (SELECT 1 FROM json_each(doc, '$.items.data') WHERE "
             "json_extract(value, '$.price.id') = ?)"), params["price"])
        )  # fmt: skip
    return page(sandbox, "subscription", "/v1/subscriptions", params, conditions)


def of_customer(sandbox: Sandbox, customer: Doc) -> Doc:
    """What `expand[]=subscriptions` puts on a customer."""
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return {**list_(sandbox, {"customer": customer["id"]}), "url": url}


OPERATIONS = (
    Operation("POST", "/v1/subscriptions", create, CREATE, "SubscriptionCreateParams"),
    Operation(
        "GET",
        "/v1/subscriptions",
        list_,
        listing(
            created=Range(),
            customer=Text(),
            price=Text(),
            status=one_of(*STATUSES, "all", "ended"),
            test_clock=Text(),
        ),
        "SubscriptionListParams",
    ),
    Operation("GET", "/v1/subscriptions/{id}", retrieve, NOTHING, "SubscriptionRetrieveParams"),
    Operation("POST", "/v1/subscriptions/{id}", update, UPDATE, "SubscriptionUpdateParams"),
    Operation(
        "DELETE",
        "/v1/subscriptions/{id}",
        cancel,
        Fields({"cancellation_details": CANCELLATION, "invoice_now": Flag(), "prorate": Flag()}),
        "SubscriptionCancelParams",
    ),
    Operation(
        "DELETE",
        "/v1/subscriptions/{subscription_exposed_id}/discount",
        delete_discount,
        NOTHING,
        "SubscriptionDeleteDiscountParams",
    ),
)
