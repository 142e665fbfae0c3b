"""Phases: what a subscription turns into when its current phase ends."""

import copy

from app.sandbox.billing import items, standing
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def is_due(sandbox: Sandbox, subscription: Doc) -> bool:
    """Whether the current phase is over."""
    schedule = standing.schedule_of(sandbox, subscription)
    return schedule is not None and schedule["current_phase"]["end_date"] <= sandbox.now()


def step(sandbox: Sandbox, subscription: Doc) -> None:
    """Enter the next phase, or let the subscription go after the last one.

    Changes the subscription's items and leaves saving them, and billing, to the caller.
    """
    schedule = standing.schedule_of(sandbox, subscription)
    if schedule is None:
        return
    now = sandbox.now()
    phases = schedule["phases"]
    following = [phase for phase in phases if phase["start_date"] <= now < phase["end_date"]]
    if not following:
        _finish(sandbox, schedule, subscription)
        return
    phase = following[0]
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    after = _enter(sandbox, subscription, phase)
    subscription["items"] = {**subscription["items"], "data": after, "total_count": len(after)}
    subscription["metadata"] = {**subscription["metadata"], **phase["metadata"]}
    sandbox.save(schedule, "subscription_schedule.updated")


def look_ahead(sandbox: Sandbox, subscription: Doc, at: int) -> None:
    """Give a copy of a subscription the items it will have at an instant."""
    schedule = standing.schedule_of(sandbox, subscription)
    if schedule is None or schedule["current_phase"]["end_date"] > at:
        return
    for phase in schedule["phases"]:
        if phase["start_date"] <= at < phase["end_date"]:
            subscription["items"]["data"] = _enter(sandbox, subscription, phase)


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
