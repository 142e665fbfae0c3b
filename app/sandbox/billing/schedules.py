"""Phases: what a subscription turns into when its current phase ends."""

import copy

from app.sandbox.billing import changes, items, standing, starting
from app.sandbox.core.params import Doc, merged
from app.sandbox.core.sandbox import Sandbox


def is_due(sandbox: Sandbox, subscription: Doc) -> bool:
    """Whether the current phase is over."""
    schedule = standing.schedule_of(sandbox, subscription)
    return schedule is not None and schedule["current_phase"]["end_date"] <= sandbox.now()


def step(sandbox: Sandbox, subscription: Doc) -> None:
    """Enter the next phase when a period ends, or let the subscription go after the last one.

    Changes the subscription's items and leaves saving them, and billing, to the caller.
    """
    phase = _next_phase(sandbox, subscription)
    if phase is not None:
        _become(sandbox, subscription, phase, sandbox.now())


def step_within_period(sandbox: Sandbox, subscription: Doc) -> None:
    """Enter the next phase in the middle of a period; what is left of it is prorated."""
    phase = _next_phase(sandbox, subscription)
    if phase is not None:
        run(sandbox, subscription, phase, phase["proration_behavior"])
    if subscription["status"] not in standing.TERMINAL:
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def run(sandbox: Sandbox, subscription: Doc, phase: Doc, proration: str) -> None:
    """Make of a subscription what a phase says, now."""
    subscription["metadata"] = {**subscription["metadata"], **phase["metadata"]}
    sent = {"items": _as_update(sandbox, subscription, phase), "proration_behavior": proration}
    change = changes.plan(sandbox, subscription, sent)
    changes.make(sandbox, subscription, change, sent)


def _as_update(sandbox: Sandbox, subscription: Doc, phase: Doc) -> list[Doc]:
    """A phase in the words of an update of the subscription's items."""
    old = {item["id"] for item in subscription["items"]["data"]}
    after = _enter(sandbox, subscription, phase)
    sent: list[Doc] = [
        {"id": gone, "deleted": True} for gone in sorted(old - {item["id"] for item in after})
    ]
    for item in after:
        one: Doc = {"price": item["price"]["id"]}
        if "quantity" in item:
            one["quantity"] = item["quantity"]
        sent.append({"id": item["id"], **one} if item["id"] in old else one)
    return sent


def _next_phase(sandbox: Sandbox, subscription: Doc) -> Doc | None:
    """The phase that begins now, if there is one; without one the schedule is done."""
    schedule = standing.schedule_of(sandbox, subscription)
    if schedule is None:
        return None
    now = sandbox.now()
    for phase in schedule["phases"]:
        if phase["start_date"] <= now < phase["end_date"]:
            schedule["current_phase"] = {key: phase[key] for key in ("start_date", "end_date")}
            sandbox.save(schedule, "subscription_schedule.updated")
            return dict(phase)
    _finish(sandbox, schedule, subscription)
    return None


def _become(sandbox: Sandbox, subscription: Doc, phase: Doc, at: int) -> None:
    after = _enter(sandbox, subscription, phase)
    if changes.changes_interval(subscription["items"]["data"], after):
        # Counted from the old anchor, the first year would have begun months ago.
        subscription["billing_cycle_anchor"] = at
    subscription["items"] = {**subscription["items"], "data": after, "total_count": len(after)}
    subscription["metadata"] = {**subscription["metadata"], **phase["metadata"]}


def look_ahead(sandbox: Sandbox, subscription: Doc, at: int) -> None:
    """Make a copy of a subscription what it will be at an instant."""
    schedule = standing.schedule_of(sandbox, subscription)
    if schedule is None or schedule["current_phase"]["end_date"] > at:
        return
    for phase in schedule["phases"]:
        if phase["start_date"] <= at < phase["end_date"]:
            _become(sandbox, subscription, phase, at)


def follow(sandbox: Sandbox, subscription: Doc) -> None:
    """A subscription was changed by hand: the running phase says so from now on."""
    schedule = standing.schedule_of(sandbox, subscription)
    if schedule is None:
        return
    for phase in schedule["phases"]:
        if phase["start_date"] == schedule["current_phase"]["start_date"]:
            phase["items"] = [
                _entry(item["price"]["id"], item.get("quantity"))
                for item in subscription["items"]["data"]
            ]
    sandbox.save(schedule, "subscription_schedule.updated")


def _entry(price: str, quantity: int | None) -> Doc:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": {},
        "price": price,
        **({} if quantity is None else {"quantity": quantity}),
        "tax_rates": [],
    }


def blank_phase(
    entries: list[Doc], start: int, end: int, currency: str, sent: Doc | None = None
) -> Doc:
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
        "items": [_entry(one["price"], one.get("quantity")) for one in entries],
        "metadata": merged({}, sent.get("metadata")),
        "on_behalf_of": None,
        "proration_behavior": sent.get("proration_behavior", "create_prorations"),
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


def keep_appointment(sandbox: Sandbox, schedule: Doc) -> None:
    """The day has come on which a schedule begins."""
    if schedule["status"] == "not_started":
        begin(sandbox, schedule)


def begin(sandbox: Sandbox, schedule: Doc) -> None:
    """Start the subscription of the first phase."""
    phase = schedule["phases"][0]
    wanted = ("price", "quantity")
    subscription = starting.start(
        sandbox,
        starting.Order(
            customer=sandbox.get("customer", schedule["customer"]),
            items=[{key: one[key] for key in wanted if key in one} for one in phase["items"]],
            metadata=dict(phase["metadata"]),
            by_schedule=True,
        ),
    )
    schedule.update(
        status="active",
        subscription=subscription["id"],
        current_phase={key: phase[key] for key in ("start_date", "end_date")},
    )
    sandbox.save(schedule, "subscription_schedule.updated")
    subscription["schedule"] = schedule["id"]
    standing.keep(sandbox, subscription, "customer.subscription.updated")


def _enter(sandbox: Sandbox, subscription: Doc, phase: Doc) -> list[Doc]:
    """The items of a phase; those that can be seen as the same keep their ids."""
    left = copy.deepcopy(subscription["items"]["data"])
    after: list[Doc] = []
    for sent in phase["items"]:
        price = sandbox.get("price", sent["price"])
        kin = [item for item in left if item["price"]["id"] == price["id"]] or [
            item
            for item in left
            if items.is_metered(item) == (price["recurring"]["usage_type"] == "metered")
        ]
        quantity = sent.get("quantity")
        if kin:
            item = kin[0]
            left.remove(item)
            item["price"] = price
            if quantity is not None:
                item["quantity"] = quantity
        else:
            item = items.new_item(subscription["id"], price, quantity, {}, sandbox.now())
            items.set_period(item, subscription["billing_cycle_anchor"], sandbox.now() - 1)
        after.append(item)
    return after


def _finish(sandbox: Sandbox, schedule: Doc, subscription: Doc) -> None:
    if schedule["end_behavior"] == "cancel":
        schedule.update(status="completed", completed_at=sandbox.now(), current_phase=None)
        sandbox.save(schedule)
        sandbox.emit("subscription_schedule.completed", schedule)
        subscription["schedule"] = None
        standing.end(sandbox, subscription, "cancellation_requested")
        return
    release(sandbox, schedule, subscription)


def release(sandbox: Sandbox, schedule: Doc, subscription: Doc) -> None:
    """Let go of the subscription, which stays as it is."""
    schedule.update(
        status="released",
        released_at=sandbox.now(),
        released_subscription=subscription["id"],
        subscription=None,
        current_phase=None,
    )
    subscription["schedule"] = None
    sandbox.save(schedule)
    sandbox.emit("subscription_schedule.released", schedule)
