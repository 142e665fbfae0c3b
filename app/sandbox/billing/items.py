"""The items of a subscription: what is bought, how many, for which period."""

from app.sandbox.billing import periods
from app.sandbox.core import ids
from app.sandbox.core.params import Doc, merged
from app.sandbox.core.refusals import invalid, required
from app.sandbox.core.sandbox import Sandbox


def recurring_price(sandbox: Sandbox, id: str, at: str) -> Doc:
    """A price that a subscription can have."""
    price = sandbox.named("price", id, at)
    if not price["active"]:
        raise invalid(f"The price specified is inactive: {id}.", at, "price_inactive")
    if price["type"] != "recurring":
        raise invalid(
            f"The price specified is set to `type=one_time` but this field only accepts prices "
            f"with `type=recurring`: {id}",
            at,
        )
    return price


def check_quantity(price: Doc, sent: Doc, at: str) -> int | None:
    """How many: one unless said; a metered price has no quantity."""
    if price["recurring"]["usage_type"] == "metered":
        if "quantity" in sent:
            raise invalid(
                "You cannot set the quantity of a metered price; it follows from usage.",
                f"{at}[quantity]",
            )
        return None
    return int(sent.get("quantity", 1))


def new_item(subscription: str, price: Doc, quantity: int | None, sent: Doc, created: int) -> Doc:
    """An item without a period yet."""
    item: Doc = {
        "id": ids.new("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": created,
        "current_period_start": created,
        "current_trial": None,
        "discounts": [],
        "metadata": merged({}, sent.get("metadata")),
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }
    if quantity is None:
        del item["quantity"]
    return item


def read_items(sandbox: Sandbox, subscription: str, sent: list[Doc]) -> list[Doc]:
    """The items of a subscription that is being made."""
    items: list[Doc] = []
    for n, one in enumerate(sent):
        if "price" not in one:
            raise required(f"items[{n}][price]")
        price = recurring_price(sandbox, one["price"], f"items[{n}][price]")
        quantity = check_quantity(price, one, f"items[{n}]")
        items.append(new_item(subscription, price, quantity, one, sandbox.now()))
    check_together(items)
    return items


def check_together(items: list[Doc]) -> None:
    """Items share a currency and differ in their prices."""
    if not items:
        raise invalid("A subscription must have at least one item.", "items")
    if len({item["price"]["currency"] for item in items}) > 1:
        raise invalid("All prices on a subscription must have the same currency.", "items")
    names = [item["price"]["id"] for item in items]
    for n, name in enumerate(names):
        if name in names[:n]:
            raise invalid(
                f"Cannot add multiple subscription items with the same price: {name}",
                f"items[{n}][price]",
            )


def set_period(item: Doc, anchor: int, instant: int) -> None:
    """Put an item in the period of its own interval that holds an instant."""
    start, end = periods.of_price(item["price"], anchor, instant)
    item["current_period_start"], item["current_period_end"] = start, end


def unbilled_from(item: Doc) -> int:
    """Since when the usage of an item has not been billed."""
    return max(int(item["current_period_start"]), int(item.get("_billed_to", 0)))


def is_metered(item: Doc) -> bool:
    return bool(item["price"]["recurring"]["usage_type"] == "metered")
