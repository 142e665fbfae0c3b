"""Subscription schedules: a change that waits for a period to end."""

from app.sandbox.billing import items, periods, schedules, standing, starting
from app.sandbox.core import ids
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Range,
    Spec,
    Text,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import subscriptions
from app.sandbox.nouns.prices import INTERVALS
from app.sandbox.nouns.subscriptions import PRORATION

_PHASE: dict[str, Spec] = {
    "duration": Fields(
        {"interval": one_of(*INTERVALS), "interval_count": Whole(least=1)},
        needs=("interval",),
    ),
    "end_date": instant(),
    "items": Many(Fields({"price": Text(), "quantity": Whole()}), most=20),
    "metadata": Metadata(),
    "proration_behavior": PRORATION,
}
_NEW_PHASES = Many(Fields(_PHASE, needs=("items",)), most=10)
_PHASES = Many(Fields({**_PHASE, "start_date": instant("now")}, needs=("items",)), most=10)
CREATE = Fields(
    {
        "customer": Text(),
        "end_behavior": one_of("cancel", "release"),
        "from_subscription": Text(),
        "metadata": Metadata(),
        "phases": _NEW_PHASES,
        "start_date": instant("now"),
    }
)
UPDATE = Fields(
    {
        "end_behavior": one_of("cancel", "release"),
        "metadata": Metadata(),
        "phases": _PHASES,
        "proration_behavior": PRORATION,
    }
)


def create(sandbox: Sandbox, params: Doc) -> Doc:
    """Take over a subscription as it is, or set out to begin one."""
    if "from_subscription" in params:
        if wrong := sorted(params.keys() & {"customer", "phases", "start_date"}):
            raise invalid(f"You cannot set `{wrong[0]}` if `from_subscription` is set.", wrong[0])
        return _take_over(sandbox, params)
    for needed in ("customer", "phases", "start_date"):
        if needed not in params:
            raise required(needed)
    return _set_out(sandbox, params)


def _take_over(sandbox: Sandbox, params: Doc) -> Doc:
    """A schedule with one phase, until the end of the subscription's period."""
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
    start = min(item["current_period_start"] for item in subscription["items"]["data"])
    end = standing.renewal_due(subscription)
    entries = [
        {"price": item["price"]["id"], "quantity": item.get("quantity")}
        for item in subscription["items"]["data"]
    ]
    phase = schedules.blank_phase(entries, start, end, subscription["currency"])
    customer = sandbox.get("customer", subscription["customer"])
    schedule = _blank(sandbox, customer, params, [phase])
    schedule.update(
        billing_mode=subscription["billing_mode"],
        current_phase={"start_date": start, "end_date": end},
        status="active",
        subscription=subscription["id"],
    )
    sandbox.add(schedule, "subscription_schedule.created")
    subscription["schedule"] = schedule["id"]
    standing.keep(sandbox, subscription, "customer.subscription.updated")
    return schedule


def _set_out(sandbox: Sandbox, params: Doc) -> Doc:
    customer = sandbox.named("customer", params["customer"], "customer")
    now = sandbox.now()
    start = now if params["start_date"] == "now" else params["start_date"]
    if start < now:
        raise invalid("The sandbox begins a schedule now or later.", "start_date")
    schedule = _blank(sandbox, customer, params, _read_phases(sandbox, params["phases"], start))
    sandbox.add(schedule, "subscription_schedule.created")
    if start == now:
        schedules.begin(sandbox, schedule)
    else:
        sandbox.wake(schedule, start)
    return schedule


def _blank(sandbox: Sandbox, customer: Doc, params: Doc, phases: list[Doc]) -> Doc:
    now = sandbox.now()
    return {
        "id": ids.new("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": starting.billing_mode("flexible", now),
        "canceled_at": None,
        "completed_at": None,
        "created": now,
        "current_phase": None,
        "customer": customer["id"],
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
        "end_behavior": params.get("end_behavior", "release"),
        "livemode": False,
        "metadata": merged({}, params.get("metadata")),
        "pause_schedules": [],
        "phases": phases,
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": customer["test_clock"],
    }


def retrieve(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    return sandbox.get("subscription_schedule", schedule, "schedule")


def update(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    doc = sandbox.get("subscription_schedule", schedule, "schedule")
    if doc["status"] == "not_started":
        return _change_plans(sandbox, doc, params)
    doc = _active(sandbox, schedule, "updated")
    subscription = sandbox.get("subscription", doc["subscription"])
    doc["end_behavior"] = params.get("end_behavior", doc["end_behavior"])
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if "phases" not in params:
        return sandbox.save(doc, "subscription_schedule.updated")
    start: int = doc["current_phase"]["start_date"]
    if params["phases"] and params["phases"][0].get("start_date") != start:
        raise invalid(
            "The first phase you pass must be the current one: you can not modify the "
            "`start_date` of the current phase.",
            "phases[0][start_date]",
        )
    before = next(phase for phase in doc["phases"] if phase["start_date"] == start)
    doc["phases"] = _read_phases(sandbox, params["phases"], start)
    running = doc["phases"][0]
    doc["current_phase"] = {key: running[key] for key in ("start_date", "end_date")}
    sandbox.save(doc, "subscription_schedule.updated")
    if _pairs(running["items"]) != _pairs(before["items"]):
        proration = params.get("proration_behavior", "create_prorations")
        schedules.run(sandbox, subscription, running, proration)
    standing.keep(sandbox, subscription, None)
    return doc


def _change_plans(sandbox: Sandbox, doc: Doc, params: Doc) -> Doc:
    """A schedule that has not begun can still become anything."""
    if "phases" in params:
        sent = params["phases"]
        start = (sent[0] if sent else {}).get("start_date", doc["phases"][0]["start_date"])
        if not isinstance(start, int) or start <= sandbox.now():
            raise invalid("The first phase must begin in the future.", "phases[0][start_date]")
        doc["phases"] = _read_phases(sandbox, sent, start)
        sandbox.wake(doc, start)
    doc["end_behavior"] = params.get("end_behavior", doc["end_behavior"])
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    return sandbox.save(doc, "subscription_schedule.updated")


def _read_phases(sandbox: Sandbox, sent: list[Doc], start: int) -> list[Doc]:
    made: list[Doc] = []
    for n, one in enumerate(sent):
        at = f"phases[{n}]"
        entries = []
        for m, entry in enumerate(one["items"]):
            if "price" not in entry:
                raise required(f"{at}[items][{m}][price]")
            price = items.recurring_price(sandbox, entry["price"], f"{at}[items][{m}][price]")
            quantity = items.check_quantity(price, entry, f"{at}[items][{m}]")
            entries.append({**entry, "quantity": quantity})
        if not entries:
            raise required(f"{at}[items]")
        if n > 0 and one.get("start_date", start) != start:
            raise invalid(
                "The start date of a phase must be the end date of the one before.",
                f"{at}[start_date]",
            )
        first: Doc = sandbox.get("price", entries[0]["price"])
        if "end_date" in one:
            end = one["end_date"]
        else:
            interval: Doc = one.get("duration") or first["recurring"]
            end = periods.after(start, interval["interval"], interval.get("interval_count", 1))
        if end <= max(start, sandbox.now()):
            raise invalid("A phase ends after it starts, and in the future.", f"{at}[end_date]")
        made.append(schedules.blank_phase(entries, start, end, first["currency"], one))
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


def cancel(sandbox: Sandbox, params: Doc, schedule: str) -> Doc:
    """End a schedule, and its subscription at once."""
    doc = sandbox.get("subscription_schedule", schedule, "schedule")
    if doc["status"] == "not_started":
        doc.update(status="canceled", canceled_at=sandbox.now())
        sandbox.wake(doc, None)
        sandbox.save(doc)
        sandbox.emit("subscription_schedule.canceled", doc)
        return doc
    doc = _active(sandbox, schedule, "canceled")
    ends = {
        "invoice_now": params.get("invoice_now", True),
        "prorate": params.get("prorate", True),
    }
    subscriptions.cancel(sandbox, ends, doc["subscription"])
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
    Operation(
        "POST",
        f"{_ONE}/cancel",
        cancel,
        Fields({"invoice_now": Flag(), "prorate": Flag()}),
        "SubscriptionScheduleCancelParams",
    ),
)
