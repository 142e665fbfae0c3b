"""Subscription schedules: a change that waits for a period to end."""

from app.sandbox.billing import items, periods, schedules, standing
from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
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
from app.sandbox.core.refusals import invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns.prices import INTERVALS
from app.sandbox.nouns.subscriptions import PRORATION

_PHASES = Many(
    Fields(
        {
            "duration": Fields(
                {"interval": one_of(*INTERVALS), "interval_count": Whole(least=1)},
                needs=("interval",),
            ),
            "end_date": instant(),
            "items": Many(Fields({"price": Text(), "quantity": Whole()}), most=20),
            "metadata": Metadata(),
            "proration_behavior": PRORATION,
            "start_date": instant("now"),
        },
        needs=("items",),
    ),
    most=10,
)
CREATE = Fields({"from_subscription": Text(), "metadata": Metadata()}, needs=("from_subscription",))
UPDATE = Fields(
    {
        "end_behavior": one_of("cancel", "release"),
        "metadata": Metadata(),
        "phases": _PHASES,
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    """Take over a subscription as it is, until the end of its period."""
    subscription = sandbox.named("subscription", params["from_subscription"], "from_subscription")
    if subscription["status"] in standing.TERMINAL:
        raise wrong_state("You cannot migrate a subscription that is already canceled.")
    if subscription["schedule"] is not None:
        raise wrong_state(
            f"You cannot migrate a subscription that is already attached to a schedule: "
            f"{subscription['schedule']}"
        )
    if subscription["cancel_at"] is not None:
        raise wrong_state("You cannot migrate a subscription that is set to be canceled.")
    now = sandbox.now()
    start = min(item["current_period_start"] for item in subscription["items"]["data"])
    end = standing.renewal_due(subscription)
    phase = _phase(
        [
            {"price": item["price"]["id"], "quantity": item.get("quantity")}
            for item in subscription["items"]["data"]
        ],
        start,
        end,
        subscription["currency"],
    )
    schedule = sandbox.add(
        {
            "id": ids.new("sub_sched"),
            "object": "subscription_schedule",
            "application": None,
            "billing_mode": subscription["billing_mode"],
            "canceled_at": None,
            "completed_at": None,
            "created": now,
            "current_phase": {"start_date": start, "end_date": end},
            "customer": subscription["customer"],
            "customer_account": None,
            "default_settings": {
                "application_fee_percent": None,
                "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
                "billing_cycle_anchor": "automatic",
                "billing_thresholds": None,
                "collection_method": "charge_automatically",
                "default_payment_method": None,
                "description": None,
                "invoice_settings": {
                    "account_tax_ids": None,
                    "days_until_due": None,
                    "issuer": {"type": "self"},
                },
                "on_behalf_of": None,
                "transfer_data": None,
            },
            "end_behavior": "release",
            "livemode": False,
            "metadata": merged({}, params.get("metadata")),
            "pause_schedules": [],
            "phases": [phase],
            "released_at": None,
            "released_subscription": None,
            "status": "active",
            "subscription": subscription["id"],
            "test_clock": subscription["test_clock"],
        },
        "subscription_schedule.created",
    )
    subscription["schedule"] = schedule["id"]
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    return schedule


def _phase(entries: list[Doc], start: int, end: int, currency: str, sent: Doc | None = None) -> Doc:
    sent = sent or {}
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": currency,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": end,
        "invoice_settings": None,
        "items": [
            {
                "billing_thresholds": None,
                "discounts": [],
                "metadata": {},
                "price": entry["price"],
                **({} if entry.get("quantity") is None else {"quantity": entry["quantity"]}),
                "tax_rates": [],
            }
            for entry in entries
        ],
        "metadata": merged({}, sent.get("metadata")),
        "on_behalf_of": None,
        "proration_behavior": sent.get("proration_behavior", "create_prorations"),
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


def retrieve(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    return sandbox.get("subscription_schedule", schedule, "schedule")


def update(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    doc = _active(sandbox, schedule, "updated")
    subscription = sandbox.get("subscription", doc["subscription"])
    if "phases" in params:
        doc["phases"] = _read_phases(sandbox, doc, subscription, params["phases"])
        first = next(phase for phase in doc["phases"] if phase["end_date"] > sandbox.now())
        doc["current_phase"] = {
            "start_date": first["start_date"],
            "end_date": first["end_date"],
        }
    doc["end_behavior"] = params.get("end_behavior", doc["end_behavior"])
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    sandbox.save(doc, "subscription_schedule.updated")
    standing.keep(sandbox, subscription, None)
    return doc


def _read_phases(sandbox: Sandbox, doc: Doc, subscription: Doc, sent: list[Doc]) -> list[Doc]:
    made: list[Doc] = []
    start: int = doc["current_phase"]["start_date"]
    running = next(phase for phase in doc["phases"] if phase["start_date"] == start)
    for n, one in enumerate(sent):
        at = f"phases[{n}]"
        entries = []
        for m, entry in enumerate(one["items"]):
            if "price" not in entry:
                raise required(f"{at}[items][{m}][price]")
            price = items.recurring_price(sandbox, entry["price"], f"{at}[items][{m}][price]")
            quantity = items.check_quantity(price, entry, f"{at}[items][{m}]")
            entries.append({**entry, "quantity": quantity})
        if n == 0 and _pairs(entries) != _pairs(running["items"]):
            raise invalid(
                "The sandbox does not change the running phase; update the subscription instead.",
                f"{at}[items]",
            )
        if n == 0 and one.get("start_date") != start:
            raise invalid(
                "The first phase you pass must be the current one: you can not modify the "
                "`start_date` of the current phase.",
                f"{at}[start_date]",
            )
        if n > 0 and one.get("start_date", start) != start:
            raise invalid(
                "The start date of a phase must be the end date of the one before.",
                f"{at}[start_date]",
            )
        if "end_date" in one:
            end = one["end_date"]
        else:
            first: Doc = sandbox.get("price", entries[0]["price"])["recurring"]
            interval: Doc = one.get("duration") or first
            end = periods.after(start, interval["interval"], interval.get("interval_count", 1))
        if end <= max(start, sandbox.now()):
            raise invalid("A phase ends after it starts, and in the future.", f"{at}[end_date]")
        made.append(_phase(entries, start, end, subscription["currency"], one))
        start = end
    if not made:
        raise invalid("A schedule has at least one phase.", "phases")
    return made


def _pairs(entries: list[Doc]) -> list[tuple[str, int | None]]:
    return sorted((entry["price"], entry.get("quantity")) for entry in entries)


def release(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    doc = _active(sandbox, schedule, "released")
    subscription = sandbox.get("subscription", doc["subscription"])
    schedules.release(sandbox, doc, subscription)
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    return doc


def _active(sandbox: Sandbox, schedule: str, verb: str) -> Doc:
    doc = sandbox.get("subscription_schedule", schedule, "schedule")
    if doc["status"] != "active":
        raise wrong_state(
            f"Only an active subscription schedule can be {verb}; this one is {doc['status']}."
        )
    return doc


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer")
    return page(sandbox, "subscription_schedule", "/v1/subscription_schedules", params, conditions)


_ONE = "/v1/subscription_schedules/{schedule}"
OPERATIONS = (
    Operation(
        "POST",
        "/v1/subscription_schedules",
        create,
        CREATE,
        "SubscriptionScheduleCreateParams",
    ),
    Operation(
        "GET",
        "/v1/subscription_schedules",
        list_,
        listing(created=Range(), customer=Text()),
        "SubscriptionScheduleListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "SubscriptionScheduleRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "SubscriptionScheduleUpdateParams"),
    Operation(
        "POST",
        f"{_ONE}/release",
        release,
        NOTHING,
        "SubscriptionScheduleReleaseParams",
    ),
)
