"""Invoices from draft to final: their lines, their totals, their number."""

from decimal import Decimal

from app.sandbox.billing import amounts, discounting, metering, payments
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

HOUR = 3_600
_STANDARD_DAYS = 30


def blank(sandbox: Sandbox, customer: Doc, reason: str, subscription: Doc | None) -> Doc:
    """A draft without lines, not yet kept."""
    now = sandbox.now()
    invoice_id = ids.new("in")
    parent: Doc | None = None
    if subscription is not None:
        parent = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "subscription": subscription["id"],
                "metadata": dict(subscription["metadata"]),
            },
        }
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": subscription["collection_method"]
        if subscription
        else "charge_automatically",
        "created": now,
        "currency": subscription["currency"] if subscription else customer["currency"] or "usd",
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": {
            "object": "list",
            "data": [],
            "has_more": False,
            "total_count": 0,
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_details": None,
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": customer["test_clock"],
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        "_days_until_due": (subscription or {}).get("days_until_due") or _STANDARD_DAYS,
    }


def blank_line(invoice: Doc, amount: int, description: str | None) -> Doc:
    """A line on a draft that belongs to nothing yet."""
    made: Doc = {
        "id": ids.new("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": {"start": invoice["created"], "end": invoice["created"]},
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }
    invoice["lines"]["data"].append(made)
    return made


def line(
    invoice: Doc,
    item: Doc,
    amount: int,
    description: str,
    period: tuple[int, int],
    *,
    proration: bool = False,
) -> Doc:
    """Put a line for a subscription item on a draft."""
    price, quantity = item["price"], item.get("quantity", 0)
    made = blank_line(invoice, amount, description)
    made.update(
        # A proration is made from prices that are net already.
        discountable=not proration,
        parent={
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": proration,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        period={"start": period[0], "end": period[1]},
        pricing={
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        quantity=quantity,
        quantity_decimal=str(quantity),
        subscription=item["subscription"],
    )
    return made


def plan_line(sandbox: Sandbox, invoice: Doc, item: Doc, period: tuple[int, int]) -> Doc:
    """The line of one item for a period that is billed ahead; nothing metered is used yet."""
    price, quantity = item["price"], item.get("quantity", 0)
    amount = amounts.of_price(price, quantity)
    return line(invoice, item, amount, _text(sandbox, price, str(quantity)), period)


def usage_line(sandbox: Sandbox, invoice: Doc, item: Doc, period: tuple[int, int]) -> Doc:
    """The line of a metered item for a period that is over."""
    made = line(invoice, item, 0, "", period)
    made["_customer"] = invoice["customer"]
    _count(sandbox, made, item["price"])
    return made


def _count(sandbox: Sandbox, line: Doc, price: Doc) -> None:
    """Fill a metered line with what is known to have been used by now."""
    period, meter = line["period"], price["recurring"]["meter"]
    used = Decimal(0)
    if meter:
        used = metering.usage_of(sandbox, line["_customer"], meter, period["start"], period["end"])
    shown = f"{used.normalize():f}"
    line["amount"] = line["subtotal"] = amounts.of_price(price, used)
    line["quantity"] = int(used) if used == used.to_integral_value() else None
    line["quantity_decimal"] = shown
    line["description"] = _text(sandbox, price, shown)


def recount(sandbox: Sandbox, invoice: Doc) -> None:
    """Count usage again that was told while the invoice was a draft."""
    metered = [line for line in invoice["lines"]["data"] if "_customer" in line]
    if not metered:
        return
    for line in metered:
        price = sandbox.get("price", line["pricing"]["price_details"]["price"])
        _count(sandbox, line, price)
    again(sandbox, invoice)


def again(sandbox: Sandbox, invoice: Doc) -> None:
    """Add a draft up anew, with the discounts it has."""
    coupons = []
    for name in invoice["discounts"]:
        discount = sandbox.get("discount", name)
        coupons.append((name, sandbox.get("coupon", discount["source"]["coupon"])))
    add_up(sandbox, invoice, coupons)


def _text(sandbox: Sandbox, price: Doc, quantity: str) -> str:
    product = sandbox.find("product", price["product"]) or {"name": price["product"]}
    described = f"{quantity} × {product['name']}"
    if price["unit_amount_decimal"] is None:
        return described
    each = amounts.shown(Decimal(price["unit_amount_decimal"]), price["currency"])
    return f"{described} (at {each} / {price['recurring']['interval']})"


def add_up(sandbox: Sandbox, invoice: Doc, coupons: list[tuple[str, Doc]]) -> None:
    """Work out discounts and totals from the lines."""
    lines = invoice["lines"]["data"]
    invoice["lines"]["total_count"] = len(lines)
    for one in lines:
        one["discount_amounts"] = []
    invoice["total_discount_amounts"] = discounting.spread(sandbox, coupons, lines)
    subtotal = sum(one["amount"] for one in lines)
    total = subtotal - sum(one["amount"] for one in invoice["total_discount_amounts"])
    invoice["subtotal"] = invoice["subtotal_excluding_tax"] = subtotal
    invoice["total"] = invoice["total_excluding_tax"] = total
    _apply_balance(invoice, invoice["starting_balance"])


def _apply_balance(invoice: Doc, balance: int) -> None:
    """What is to be paid when a credit, a negative balance, pays first and a debt is added."""
    total = invoice["total"]
    owed = max(total + balance, 0) if total > 0 else 0
    invoice["starting_balance"] = balance
    invoice["amount_due"] = invoice["amount_remaining"] = owed


def price_up(sandbox: Sandbox, invoice: Doc, subscription: Doc | None) -> list[Doc]:
    """Work out what a draft comes to, with the subscription's discounts; says which."""
    customer = sandbox.get("customer", invoice["customer"])
    invoice["starting_balance"] = customer["balance"]
    held = discounting.holding(sandbox, subscription) if subscription else []
    coupons = [
        (discount["id"], coupon)
        for discount in held
        if (coupon := sandbox.find("coupon", discount["source"]["coupon"])) is not None
    ]
    invoice["discounts"] = [name for name, _ in coupons]
    add_up(sandbox, invoice, coupons)
    return held


def open_draft(sandbox: Sandbox, invoice: Doc, subscription: Doc | None) -> Doc:
    """Keep a draft whose lines are there."""
    held = price_up(sandbox, invoice, subscription)
    if subscription is not None and invoice["total_discount_amounts"]:
        discounting.use_up(sandbox, held)
    if subscription is not None:
        subscription["latest_invoice"] = invoice["id"]
    return sandbox.add(invoice, "invoice.created")


def finalize(sandbox: Sandbox, invoice: Doc) -> None:
    """Make a draft final: number it, settle the customer's balance, prepare its payment."""
    now = sandbox.now()
    recount(sandbox, invoice)
    customer = sandbox.get("customer", invoice["customer"])
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = number + 1
    invoice["number"] = f"{customer['invoice_prefix']}-{number:04d}"
    before = customer["balance"]
    # The balance may have changed in the hour that a renewal is a draft.
    _apply_balance(invoice, before)
    # A credit is kept for later invoices; a credit that is there pays first.
    change = invoice["total"] if invoice["total"] <= 0 else invoice["total"] - invoice["amount_due"]
    customer["balance"] = before + change
    sandbox.save(customer, "customer.updated" if change else None)
    base = sandbox.config.base_url
    invoice.update(
        status="open",
        effective_at=now,
        ending_balance=customer["balance"],
        due_date=invoice["due_date"] or _due_date(invoice, now),
        automatically_finalizes_at=None,
        hosted_invoice_url=f"{base}/i/{invoice['id']}",
        invoice_pdf=f"{base}/i/{invoice['id']}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = now
    if invoice["amount_due"] == 0:
        sandbox.save(invoice, "invoice.finalized")
        mark_paid(sandbox, invoice)
        return
    payments.prepare(sandbox, invoice)
    sandbox.save(invoice, "invoice.finalized")


def _due_date(invoice: Doc, now: int) -> int | None:
    if invoice["collection_method"] != "send_invoice":
        return None
    return now + int(invoice["_days_until_due"]) * DAY


def mark_paid(sandbox: Sandbox, invoice: Doc) -> None:
    """The invoice is settled, by whatever means."""
    invoice["status"] = "paid"
    invoice["attempted"] = True
    invoice["amount_paid"] = invoice["amount_due"]
    invoice["amount_remaining"] = 0
    invoice["next_payment_attempt"] = None
    invoice["auto_advance"] = False
    invoice["status_transitions"]["paid_at"] = sandbox.now()
    sandbox.save(invoice)
    sandbox.emit("invoice.paid", invoice)
    sandbox.emit("invoice.payment_succeeded", invoice)
    sandbox.wake(invoice, None)


def void(sandbox: Sandbox, invoice: Doc) -> None:
    """Take an open invoice back, and give back the credit it had used."""
    used = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if used:
        customer = sandbox.get("customer", invoice["customer"])
        customer["balance"] -= used
        sandbox.save(customer, "customer.updated")
    payments.give_up(sandbox, invoice)
    invoice["status"] = "void"
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"]["voided_at"] = sandbox.now()
    sandbox.save(invoice, "invoice.voided")
    sandbox.wake(invoice, None)


def give_up(sandbox: Sandbox, invoice: Doc, reason: str) -> None:
    """Nobody expects this invoice to be paid any more; it still can be."""
    invoice.update(
        status="uncollectible",
        status_details={"uncollectible": {"reason": reason}},
        auto_advance=False,
        next_payment_attempt=None,
    )
    invoice["status_transitions"]["marked_uncollectible_at"] = sandbox.now()
    sandbox.save(invoice, "invoice.marked_uncollectible")
    sandbox.wake(invoice, None)


def subscription_of(sandbox: Sandbox, invoice: Doc) -> Doc | None:
    """The subscription an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return sandbox.find("subscription", details["subscription"]) if details else None
