"""Changing what a subscription is for: new items, prorations, and when they count."""

import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.sandbox.billing import (
    amounts,
    discounting,
    invoicing,
    items,
    settlement,
    standing,
    starting,
    waiting,
)
from app.sandbox.core.params import Doc, merged
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox


@dataclass
class Proration:
    """One line: an item's unused time given back, or its remaining time charged."""

    item: Doc
    amount: int
    description: str
    period: tuple[int, int]
    proration: bool = True


@dataclass
class Change:
    """A subscription as it would be, and what is owed for becoming so."""

    after: Doc
    """The fields that change: `items`, and the anchor and trial where they move."""
    lines: list[Proration] = field(default_factory=list)
    bills_now: bool = False
    """A new billing cycle is billed at once, whatever the proration behavior."""


def plan(sandbox: Sandbox, subscription: Doc, sent: Doc) -> Change:
    """Work out a change without making it."""
    now = sandbox.now()
    at = sent.get("proration_date", now)
    before = subscription["items"]["data"]
    if (
        not min(item["current_period_start"] for item in before)
        <= at
        <= standing.period_end(subscription)
    ):
        raise invalid("proration_date must be within the current period.", "proration_date")
    after = _changed_items(sandbox, subscription, sent.get("items", []))
    fields: Doc = {"items": {**subscription["items"], "data": after, "total_count": len(after)}}
    change = Change(fields)
    trialing = subscription["status"] == "trialing"
    trial_end = sent.get("trial_end")
    if isinstance(trial_end, int) and trial_end > now:
        _set_trial(fields, after, trial_end, now)
        if not trialing:
            _give_back(sandbox, subscription, change, before, at)
        return change
    restarts = (
        (trial_end == "now" and trialing)
        or sent.get("billing_cycle_anchor", {}).get("type") == "now"
        or (changes_interval(before, after) and not trialing)
    )
    if restarts:
        _restart(sandbox, subscription, change, before, at, trialing)
        return change
    _place_in_periods(subscription, after, now, trialing)
    if not trialing and sent.get("proration_behavior") != "none":
        _prorate(sandbox, subscription, change, before, at)
    return change


def changes_interval(before: list[Doc], after: list[Doc]) -> bool:
    """Whether an item moves to another interval, or the plan is replaced by one of another.

    An item that is only added keeps to its own interval and leaves the others alone.
    """
    old = {item["id"]: _interval(item) for item in before}
    if any(old.get(item["id"], _interval(item)) != _interval(item) for item in after):
        return True
    plans = [{_interval(one) for one in of if not items.is_metered(one)} for of in (before, after)]
    return all(plans) and not plans[0] & plans[1]


def _interval(item: Doc) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _changed_items(sandbox: Sandbox, subscription: Doc, sent: list[Doc]) -> list[Doc]:
    after: list[Doc] = copy.deepcopy(subscription["items"]["data"])
    for n, one in enumerate(sent):
        at = f"items[{n}]"
        if "id" not in one:
            price = items.recurring_price(sandbox, one.get("price", ""), f"{at}[price]")
            quantity = items.check_quantity(price, one, at)
            made = items.new_item(subscription["id"], price, quantity, one, sandbox.now())
            after.append(made)
            continue
        item = next((each for each in after if each["id"] == one["id"]), None)
        if item is None:
            raise invalid(
                f"No such subscription item: '{one['id']}'", f"{at}[id]", "resource_missing"
            )
        if one.get("deleted"):
            after.remove(item)
            continue
        if "price" in one:
            item["price"] = items.recurring_price(sandbox, one["price"], f"{at}[price]")
        quantity = items.check_quantity(
            item["price"], {"quantity": item.get("quantity", 1), **one}
            if not items.is_metered(item) or "quantity" in one else {}, at)  # fmt: skip
        item.pop("quantity", None)
        if quantity is not None:
            item["quantity"] = quantity
        item["metadata"] = merged(item["metadata"], one.get("metadata"))
    items.check_together(after)
    return after


def _place_in_periods(subscription: Doc, after: list[Doc], now: int, trialing: bool) -> None:
    for item in after:
        if trialing:
            item["current_period_start"] = subscription["trial_start"]
            item["current_period_end"] = subscription["trial_end"]
        elif item["current_period_end"] <= now:
            items.set_period(item, subscription["billing_cycle_anchor"], now)


def _set_trial(fields: Doc, after: list[Doc], trial_end: int, now: int) -> None:
    fields.update(
        status="trialing", trial_start=now, trial_end=trial_end, billing_cycle_anchor=trial_end
    )
    fields["_trial_notice_sent"] = False
    for item in after:
        item["current_period_start"], item["current_period_end"] = now, trial_end


def _restart(
    sandbox: Sandbox, subscription: Doc, change: Change, before: list[Doc], at: int, trialing: bool
) -> None:
    """A new cycle begins now: the rest of the old one is given back, the new one charged."""
    now = sandbox.now()
    change.after["billing_cycle_anchor"] = now
    change.bills_now = True
    if trialing:
        change.after.update(status="active", trial_end=now)
    else:
        _give_back(sandbox, subscription, change, before, at)
    for item in change.after["items"]["data"]:
        items.set_period(item, now, now)
        period = (item["current_period_start"], item["current_period_end"])
        price = item["price"]
        amount = amounts.of_price(price, item.get("quantity", 0))
        text = f"{item.get('quantity', 0)} × {_name(sandbox, price)}"
        change.lines.append(Proration(item, amount, text, period, proration=False))


def _give_back(
    sandbox: Sandbox, subscription: Doc, change: Change, before: list[Doc], at: int
) -> None:
    kept = discounting.kept_share(sandbox, subscription)
    for item in before:
        if not items.is_metered(item):
            change.lines.append(_unused(sandbox, item, at, kept))


def unused(sandbox: Sandbox, subscription: Doc) -> Change:
    """The rest of the period, given back."""
    change = Change({})
    if subscription["status"] != "trialing":
        data = subscription["items"]["data"]
        _give_back(sandbox, subscription, change, data, sandbox.now())
    return change


def give_back_unused(sandbox: Sandbox, subscription: Doc) -> None:
    """Credit the rest of the period, for the next invoice to give back."""
    for line in unused(sandbox, subscription).lines:
        _wait_for_invoice(sandbox, subscription, line)


def _prorate(
    sandbox: Sandbox, subscription: Doc, change: Change, before: list[Doc], at: int
) -> None:
    kept = discounting.kept_share(sandbox, subscription)
    old = {item["id"]: item for item in before}
    new = {item["id"]: item for item in change.after["items"]["data"]}
    for id in [*old, *(id for id in new if id not in old)]:
        was, becomes = old.get(id), new.get(id)
        if was and becomes and _same(was, becomes):
            continue
        if was is not None and not items.is_metered(was):
            change.lines.append(_unused(sandbox, was, at, kept))
        if becomes is not None and not items.is_metered(becomes):
            change.lines.append(_remaining(sandbox, becomes, at, kept))


def _same(was: Doc, becomes: Doc) -> bool:
    return bool(
        was["price"]["id"] == becomes["price"]["id"]
        and was.get("quantity") == becomes.get("quantity")
    )


def unused_of(sandbox: Sandbox, subscription: Doc, item: Doc, at: int) -> Proration:
    """The rest of an item's period from an instant, given back."""
    return _unused(sandbox, item, at, discounting.kept_share(sandbox, subscription))


def remaining_of(sandbox: Sandbox, subscription: Doc, item: Doc, at: int) -> Proration:
    """The rest of an item's period from an instant, charged."""
    return _remaining(sandbox, item, at, discounting.kept_share(sandbox, subscription))


def _unused(sandbox: Sandbox, item: Doc, at: int, kept: Decimal) -> Proration:
    text = f"Unused time on {item['quantity']} × {_name(sandbox, item['price'])}"
    return Proration(item, -_part(item, at, kept), text, (at, item["current_period_end"]))


def _remaining(sandbox: Sandbox, item: Doc, at: int, kept: Decimal) -> Proration:
    text = f"Remaining time on {item['quantity']} × {_name(sandbox, item['price'])}"
    return Proration(item, _part(item, at, kept), text, (at, item["current_period_end"]))


def _part(item: Doc, at: int, kept: Decimal) -> int:
    """What the rest of the period is worth, by the second."""
    total = item["current_period_end"] - item["current_period_start"]
    full = amounts.whole(amounts.of_price(item["price"], item["quantity"]) * kept)
    return amounts.share(full, item["current_period_end"] - at, total)


def _name(sandbox: Sandbox, price: Doc) -> Any:
    product = sandbox.find("product", price["product"])
    return product["name"] if product else price["product"]


def write_lines(sandbox: Sandbox, invoice: Doc, change: Change) -> None:
    """Put what a change owes on a draft."""
    for one in change.lines:
        invoicing.line(
            invoice, one.item, one.amount, one.description, one.period, proration=one.proration
        )


def make(sandbox: Sandbox, subscription: Doc, change: Change, sent: Doc) -> None:
    """Make a planned change, in the way the payment behavior asks for.

    `pending_if_incomplete` leaves the subscription as it was until the invoice is paid;
    `error_if_incomplete` refuses, and the caller's unit takes everything back.
    """
    behavior = sent.get("payment_behavior", "allow_incomplete")
    bills = change.bills_now or sent.get("proration_behavior") == "always_invoice"
    if not change.lines or not bills:
        _apply(sandbox, subscription, change)
        for line in change.lines:
            _wait_for_invoice(sandbox, subscription, line)
        return
    customer = sandbox.get("customer", subscription["customer"])
    method = standing.method_for(sandbox, subscription, customer)
    invoice = invoicing.blank(sandbox, customer, "subscription_update", subscription)
    for line in change.lines:
        if line.proration:
            _wait_for_invoice(sandbox, subscription, line)
    waiting.take(sandbox, invoice, waiting.of_subscription(sandbox, subscription))
    write_lines(sandbox, invoice, Change({}, [one for one in change.lines if not one.proration]))
    if behavior == "pending_if_incomplete":
        _hold(sandbox, subscription, change, invoice)
    else:
        _apply(sandbox, subscription, change, invoice["id"])
    invoicing.open_draft(sandbox, invoice, subscription)
    invoicing.finalize(sandbox, invoice)
    if invoice["status"] == "paid":
        settlement.settled(sandbox, invoice)
        return
    if behavior == "default_incomplete":
        subscription["status"] = "past_due"
        standing.keep(sandbox, subscription, "customer.subscription.updated")
        return
    outcome = settlement.collect(
        sandbox,
        invoice,
        method,
        plans_retry=behavior == "allow_incomplete",
        on_session=not sent.get("off_session", False),
    )
    if behavior == "error_if_incomplete":
        starting.refuse_unless_paid(outcome)
    if outcome.status != "succeeded" and subscription["pending_update"]:
        subscription["_pending_told"] = True
        standing.keep(sandbox, subscription, "customer.subscription.updated")


def _apply(
    sandbox: Sandbox, subscription: Doc, change: Change, latest_invoice: str | None = None
) -> None:
    subscription.update(change.after)
    if latest_invoice is not None:
        subscription["latest_invoice"] = latest_invoice
    standing.keep(sandbox, subscription, "customer.subscription.updated")


def _hold(sandbox: Sandbox, subscription: Doc, change: Change, invoice: Doc) -> None:
    """Keep a change beside the subscription until it is paid for.

    Nothing is saved yet: if the payment works at once, nobody ever sees the waiting.
    """
    subscription["_pending"] = change.after
    subscription["_pending_invoice"] = invoice["id"]
    subscription["pending_update"] = {
        "billing_cycle_anchor": change.after.get("billing_cycle_anchor"),
        "discounts": None,
        "expires_at": sandbox.now() + standing.PENDING_SECONDS,
        "metadata": None,
        "subscription_items": change.after["items"]["data"],
        "trial_end": change.after.get("trial_end"),
        "trial_from_plan": None,
    }


def _wait_for_invoice(sandbox: Sandbox, subscription: Doc, line: Proration) -> None:
    """A proration that the next invoice will bill."""
    waiting.wait_for_renewal(
        sandbox, subscription, line.item, line.amount, line.description, line.period
    )
