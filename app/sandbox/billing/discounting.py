"""Coupons at work: which discounts hold, and what they take off an invoice."""

from decimal import Decimal

from app.sandbox.billing import amounts, periods
from app.sandbox.core import ids
from app.sandbox.core.params import CLEARED, Doc
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox


def redeemable(sandbox: Sandbox, sent: Doc, at: str, customer: str | None) -> Doc:
    """The coupon and promotion code behind one entry of a `discounts` parameter."""
    if promotion := sent.get("promotion_code"):
        code = sandbox.named("promotion_code", promotion, f"{at}[promotion_code]")
        return {"coupon": _usable_code(sandbox, code, at, customer), "promotion_code": code}
    if not sent.get("coupon"):
        raise invalid(f"You must provide a coupon or promotion_code in {at}.", at)
    coupon = sandbox.named("coupon", sent["coupon"], f"{at}[coupon]")
    return {"coupon": _usable(sandbox, coupon, at), "promotion_code": None}


def code_named(sandbox: Sandbox, text: str) -> Doc | None:
    """The active promotion code a person typed."""
    for code in sandbox.all("promotion_code"):
        if code["code"].upper() == text.strip().upper() and code["active"]:
            return code
    return None


def _usable(sandbox: Sandbox, coupon: Doc, at: str) -> Doc:
    over = coupon["redeem_by"] is not None and coupon["redeem_by"] <= sandbox.now()
    most = coupon["max_redemptions"]
    if over or not coupon["valid"] or (most is not None and coupon["times_redeemed"] >= most):
        raise invalid(f"Coupon expired: {coupon['id']}", at, "coupon_expired")
    return coupon


def _usable_code(sandbox: Sandbox, code: Doc, at: str, customer: str | None) -> Doc:
    over = code["expires_at"] is not None and code["expires_at"] <= sandbox.now()
    most = code["max_redemptions"]
    if over or not code["active"] or (most is not None and code["times_redeemed"] >= most):
        raise invalid("This promotion code is not active or has expired.", at)
    if code["customer"] not in (None, customer):
        raise invalid("This promotion code belongs to another customer.", at)
    if code["restrictions"]["first_time_transaction"] and any(
        invoice["status"] == "paid" and invoice["amount_paid"] > 0
        for invoice in sandbox.all("invoice", customer=customer)
    ):
        raise invalid("This promotion code is for first-time customers.", at)
    coupon = sandbox.find("coupon", code["promotion"]["coupon"])
    if coupon is None or coupon.get("deleted"):
        raise invalid("This promotion code is not active or has expired.", at)
    return _usable(sandbox, coupon, at)


def redeem(sandbox: Sandbox, chosen: list[Doc], subscription: Doc) -> None:
    """Put discounts on a subscription; each counts as one redemption."""
    subscription["discounts"] = []
    for one in chosen:
        coupon, code = one["coupon"], one["promotion_code"]
        for counted in (coupon, code):
            if counted is not None:
                counted["times_redeemed"] += 1
                sandbox.save(counted)
        months = coupon["duration_in_months"]
        start = sandbox.now()
        discount = sandbox.add(
            {
                "id": ids.new("di"),
                "object": "discount",
                "checkout_session": None,
                "customer": subscription["customer"],
                "customer_account": None,
                "end": periods.after(start, "month", months) if months else None,
                "invoice": None,
                "invoice_item": None,
                "promotion_code": code["id"] if code else None,
                "source": {"coupon": coupon["id"], "type": "coupon"},
                "start": start,
                "subscription": subscription["id"],
                "subscription_item": None,
            }
        )
        subscription["discounts"].append(discount["id"])


def chosen(sandbox: Sandbox, sent: list[Doc] | str | None, customer: str | None) -> list[Doc]:
    """Every entry of a `discounts` parameter, checked."""
    if not sent or sent == CLEARED:
        return []
    return [
        redeemable(sandbox, one, f"discounts[{n}]", customer)
        for n, one in enumerate(sent)
        if isinstance(one, dict)
    ]


def holding(sandbox: Sandbox, subscription: Doc) -> list[Doc]:
    """The subscription's discounts that still hold, as documents."""
    found = [sandbox.find("discount", id) for id in subscription["discounts"]]
    return [
        discount
        for discount in found
        if discount is not None
        and (discount["end"] is None or discount["end"] > sandbox.now())
        and not discount.get("_used_up")
    ]


def use_up(sandbox: Sandbox, discounts: list[Doc]) -> None:
    """Mark those that were good for one invoice only."""
    for discount in discounts:
        coupon = sandbox.find("coupon", discount["source"]["coupon"])
        if coupon is not None and coupon["duration"] == "once":
            discount["_used_up"] = True
            sandbox.save(discount)


def spread(sandbox: Sandbox, coupons: list[tuple[str, Doc]], lines: list[Doc]) -> list[Doc]:
    """Take the coupons off the lines, one after another, and say what each took.

    Fills every line's `discount_amounts`; a line never goes below zero.
    """
    totals: list[Doc] = []
    open_lines = [line for line in lines if line["discountable"] and line["amount"] > 0]
    left = {line["id"]: int(line["amount"]) for line in open_lines}
    for name, coupon in coupons:
        remaining = [left[line["id"]] for line in open_lines]
        whole = sum(remaining)
        if coupon["percent_off"] is not None:
            off = amounts.whole(Decimal(whole) * Decimal(str(coupon["percent_off"])) / 100)
        else:
            off = min(coupon["amount_off"], whole)
        for line, piece in zip(open_lines, amounts.split(off, remaining), strict=True):
            left[line["id"]] -= piece
            line["discount_amounts"].append({"amount": piece, "discount": name})
        totals.append({"amount": off, "discount": name})
    return totals


def kept_share(sandbox: Sandbox, subscription: Doc) -> Decimal:
    """What is left of an amount after percentages: prorations are made from net prices."""
    share = Decimal(1)
    for discount in holding(sandbox, subscription):
        coupon = sandbox.find("coupon", discount["source"]["coupon"])
        if coupon is not None and coupon["percent_off"] is not None:
            share *= 1 - Decimal(str(coupon["percent_off"])) / 100
    return share
