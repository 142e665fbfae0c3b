"""What a checkout comes to, and what completing it brings about."""

from app.sandbox.billing import (
    amounts,
    charging,
    discounting,
    items,
    payments,
    setups,
    starting,
)
from app.sandbox.billing.starting import Order
from app.sandbox.config import DAY
from app.sandbox.core.params import Doc, merged
from app.sandbox.core.refusals import wrong_state
from app.sandbox.core.sandbox import Sandbox


def trial_end(sandbox: Sandbox, session: Doc) -> int | None:
    """When the trial ends that completing the session now would begin."""
    data = session["_subscription_data"]
    if "trial_period_days" in data:
        return int(sandbox.now() + data["trial_period_days"] * DAY)
    return int(data["trial_end"]) if "trial_end" in data else None


def priced(sandbox: Sandbox, session: Doc) -> list[Doc]:
    """The session's line items; its totals are brought up to date with them."""
    free = trial_end(sandbox, session) is not None
    lines: list[Doc] = []
    for item in session["_items"]:
        price = sandbox.get("price", item["price"])
        product = sandbox.find("product", price["product"])
        amount = 0 if free else amounts.of_price(price, item.get("quantity", 0))
        lines.append(
            {
                "id": item["id"],
                "object": "item",
                "adjustable_quantity": None,
                "amount": amount,
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": price["currency"],
                "description": product["name"] if product else price["product"],
                "discountable": True,
                "discount_amounts": [],
                "metadata": merged({}, item["metadata"]),
                "price": price,
                "quantity": item.get("quantity"),
            }
        )
    items.check_together([{"price": line["price"]} for line in lines])
    coupons = [(one["coupon"]["id"], one["coupon"]) for one in chosen(sandbox, session)]
    discounting.spread(sandbox, coupons, lines)
    for line in lines:
        off = sum(one["amount"] for one in line.pop("discount_amounts"))
        line["amount_discount"] = off
        line["amount_total"] = line["amount_subtotal"] - off
        del line["amount"], line["discountable"]
    session["currency"] = lines[0]["currency"]
    session["amount_subtotal"] = sum(line["amount_subtotal"] for line in lines)
    session["amount_total"] = sum(line["amount_total"] for line in lines)
    session["total_details"]["amount_discount"] = sum(line["amount_discount"] for line in lines)
    return lines


def chosen(sandbox: Sandbox, session: Doc) -> list[Doc]:
    """The session's discounts, checked anew."""
    sent = [{k: v for k, v in one.items() if v} for one in session["discounts"]]
    return discounting.chosen(sandbox, sent, session["customer"])


def complete(
    sandbox: Sandbox,
    session: Doc,
    customer: Doc,
    method: Doc | None,
    *,
    authenticated: bool = False,
) -> Doc:
    """Turn a paid order into a subscription. Doing it again changes nothing.

    A card that declines is refused, and the caller's unit takes everything back.
    """
    if session["status"] == "complete":
        return session
    if session["status"] != "open":
        raise wrong_state("This Checkout Session has expired.")
    data = session["_subscription_data"]
    session["customer"] = customer["id"]
    subscription = starting.start(
        sandbox,
        Order(
            customer=customer,
            items=session["_items"],
            metadata=merged({}, data.get("metadata")),
            method=method,
            trial_end=trial_end(sandbox, session),
            trial_settings=data.get("trial_settings"),
            discounts=chosen(sandbox, session),
            description=data.get("description"),
            through_checkout=True,
            authenticated=authenticated,
            intent=session.get("_intent"),
        ),
    )
    invoice = sandbox.get("invoice", subscription["latest_invoice"])
    owed = "paid" if invoice["status"] == "paid" else "unpaid"
    session.update(
        status="complete",
        payment_status=owed if session["amount_total"] else "no_payment_required",
        subscription=subscription["id"],
        invoice=invoice["id"],
        url=None,
        customer_details={
            "address": customer["address"],
            "business_name": None,
            "email": customer["email"],
            "individual_name": None,
            "name": customer["name"],
            "phone": customer["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        },
    )
    sandbox.wake(session, None)
    sandbox.save(session)
    sandbox.emit("checkout.session.completed", session)
    return session


def attempt_alone(sandbox: Sandbox, session: Doc, method: Doc) -> Doc:
    """Try to pay for a session from which nothing is made yet.

    Leaves behind what Stripe's checkout does: a payment intent with a failed charge, or one
    whose payer must confirm. The session uses the same intent when it is paid in the end.
    """
    if session.get("_intent") is None:
        intent = payments.new_intent(
            sandbox, session["amount_total"], session["currency"], session["customer"],
            "Subscription creation",
        )  # fmt: skip
        intent["_session"] = session["id"]
        sandbox.add(intent, "payment_intent.created")
        session["_intent"] = intent["id"]
        sandbox.save(session)
    intent = sandbox.get("payment_intent", session["_intent"])
    intent["amount"] = session["amount_total"]
    charging.confirm(sandbox, intent, method, on_session=True)
    return intent


def ask_payer(sandbox: Sandbox, session: Doc, method: Doc, sent: dict[str, str]) -> Doc:
    """Begin a payment, or the saving of a card, that its holder must confirm first."""
    session["_challenge"] = {"method": method["id"], "sent": sent}
    sandbox.save(session)
    if session["amount_total"]:
        return attempt_alone(sandbox, session, method)
    if session.get("_setup") is None:
        session["_setup"] = setups.begin(sandbox, session["customer"])["id"]
        sandbox.save(session)
    setup = sandbox.get("setup_intent", session["_setup"])
    setup["_session"] = session["id"]
    setups.confirm(sandbox, setup, method)
    return setup


def save_method(sandbox: Sandbox, session: Doc, customer: Doc, method: Doc) -> None:
    """Nothing is due yet, but the method is set up to be charged later."""
    if (begun := session.get("_setup")) is not None:
        setup = sandbox.get("setup_intent", begun)
        setup.update(customer=customer["id"], payment_method=method["id"])
    else:
        setup = setups.begin(sandbox, customer["id"])
        setup["payment_method"] = method["id"]
    setups.succeed(sandbox, setup)
