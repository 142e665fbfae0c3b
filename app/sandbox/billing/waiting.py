"""Invoice items: amounts that wait for an invoice to bill them."""

from app.sandbox.billing import invoicing
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox


def wait(
    sandbox: Sandbox,
    customer: Doc,
    amount: int,
    currency: str,
    description: str | None,
    period: tuple[int, int],
) -> Doc:
    """An amount for a customer's next invoice; not yet kept."""
    return {
        "id": ids.new("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "date": sandbox.now(),
        "description": description,
        "discountable": amount >= 0,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": None,
        "period": {"start": period[0], "end": period[1]},
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": customer["test_clock"],
    }


def wait_for_renewal(
    sandbox: Sandbox,
    subscription: Doc,
    item: Doc,
    amount: int,
    description: str,
    period: tuple[int, int],
    *,
    proration: bool = True,
) -> None:
    """An amount for the next invoice of a subscription: a proration, or usage."""
    price, quantity = item["price"], item.get("quantity", 0)
    customer = sandbox.get("customer", subscription["customer"])
    made = wait(sandbox, customer, amount, price["currency"], description, period)
    made.update(
        discountable=not proration,
        parent={
            "type": "subscription_details",
            "subscription_details": {
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
        },
        pricing={
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        proration=proration,
        quantity=quantity,
        quantity_decimal=str(quantity),
    )
    sandbox.add(made, "invoiceitem.created")


def from_line(sandbox: Sandbox, customer: Doc, line: Doc) -> None:
    """Let what a line says wait for the next invoice instead."""
    of = line["parent"]["subscription_item_details"]
    period = (line["period"]["start"], line["period"]["end"])
    made = wait(sandbox, customer, line["amount"], line["currency"], line["description"], period)
    made.update(
        discountable=line["discountable"],
        parent={
            "type": "subscription_details",
            "subscription_details": {key: of[key] for key in ("subscription", "subscription_item")},
        },
        pricing=line["pricing"],
        proration=of["proration"],
        quantity=line["quantity"] or 0,
        quantity_decimal=line["quantity_decimal"],
    )
    sandbox.add(made, "invoiceitem.created")


def of_subscription(sandbox: Sandbox, subscription: Doc) -> list[Doc]:
    """What waits for a subscription's next invoice."""
    return [
        one
        for one in _waiting(sandbox, subscription["customer"])
        if one["parent"] and _parent(one)["subscription"] == subscription["id"]
    ]


def of_nobody(sandbox: Sandbox, customer: str, currency: str) -> list[Doc]:
    """What waits for any next invoice of a customer."""
    return [
        one
        for one in _waiting(sandbox, customer)
        if not one["parent"] and one["currency"] == currency
    ]


def take(sandbox: Sandbox, invoice: Doc, waiting: list[Doc]) -> None:
    """Put what waits on a draft; it waits no longer."""
    for one in waiting:
        put_on(invoice, one)
        one["invoice"] = invoice["id"]
        sandbox.save(one)


def put_on(invoice: Doc, waiting: Doc) -> Doc:
    """The line of an invoice item."""
    line = invoicing.blank_line(invoice, waiting["amount"], waiting["description"])
    line.update(
        discountable=waiting["discountable"],
        metadata=dict(waiting["metadata"]),
        period=dict(waiting["period"]),
        pricing=waiting["pricing"],
        quantity=waiting["quantity"],
        quantity_decimal=waiting["quantity_decimal"],
    )
    common: Doc = {
        "invoice_item": waiting["id"],
        "proration": waiting["proration"],
        "proration_details": {"credited_items": None},
    }
    if waiting["parent"] is not None:
        of = _parent(waiting)
        line["subscription"] = of["subscription"]
        line["parent"] = {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                **common,
                "subscription": of["subscription"],
                "subscription_item": of["subscription_item"],
            },
        }
    else:
        line["parent"] = {
            "type": "invoice_item_details",
            "invoice_item_details": {**common, "subscription": None},
            "subscription_item_details": None,
        }
    return line


def _parent(waiting: Doc) -> Doc:
    details: Doc = waiting["parent"]["subscription_details"]
    return details


def _waiting(sandbox: Sandbox, customer: str) -> list[Doc]:
    found = sandbox.all("invoiceitem", oldest_first=True, customer=customer)
    return [one for one in found if one["invoice"] is None and not one.get("deleted")]
