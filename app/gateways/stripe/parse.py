"""Stripe's objects, as plain JSON of the pinned API version, read into our values.

The one module that knows Stripe's field names in answers. It reads what has been re-fetched, never
the payload of an event, whose shape depends on when its endpoint was made. A missing or null
optional field is `None`; a missing required one raises `KeyError`, which the gateway reports as an
answer it could not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.gateways.stripe.fields import id_of as _id
from app.gateways.stripe.fields import instant as _instant
from app.gateways.stripe.fields import required_id as _required_id
from app.gateways.stripe.fields import required_instant as _required_instant
from app.gateways.stripe.gateway import (
    StripeBuyer,
    StripeCard,
    StripeCheckout,
    StripeCustomer,
    StripeDiscount,
    StripeInvoice,
    StripeInvoiceLine,
    StripeItem,
    StripePause,
    StripePaymentMethod,
    StripePendingUpdate,
    StripePhase,
    StripeSchedule,
    StripeSubscription,
)
from app.kernel.periods import Period

Json = Mapping[str, Any]


def customer(data: Json) -> StripeCustomer:
    settings = data.get("invoice_settings") or {}
    return StripeCustomer(
        id=data["id"],
        is_deleted=bool(data.get("deleted")),
        default_payment_method_id=_id(settings.get("default_payment_method")),
        livemode=bool(data.get("livemode")),
    )


def checkout(data: Json) -> StripeCheckout:
    return StripeCheckout(
        id=data["id"],
        url=data.get("url"),
        status=data.get("status"),
        payment_status=data.get("payment_status") or "unpaid",
        customer_id=_id(data.get("customer")),
        subscription_id=_id(data.get("subscription")),
        expires_at=_required_instant(data["expires_at"]),
        metadata=_metadata(data),
        livemode=bool(data.get("livemode")),
        promotion_code_id=next(
            (_id(one.get("promotion_code")) for one in data.get("discounts") or ()), None
        ),
    )


def subscription(data: Json) -> StripeSubscription:
    invoice = data.get("latest_invoice")
    expanded = invoice if isinstance(invoice, Mapping) else {}
    is_open = expanded.get("status") == "open"
    return StripeSubscription(
        id=data["id"],
        customer_id=_required_id(data["customer"]),
        status=data["status"],
        currency=data["currency"],
        items=tuple(_item(item) for item in data["items"]["data"]),
        created_at=_required_instant(data["created"]),
        started_at=_instant(data.get("start_date")),
        cancel_at=_instant(data.get("cancel_at")),
        cancel_at_period_end=bool(data.get("cancel_at_period_end")),
        canceled_at=_instant(data.get("canceled_at")),
        ended_at=_instant(data.get("ended_at")),
        trial_start=_instant(data.get("trial_start")),
        trial_end=_instant(data.get("trial_end")),
        pending_update=_pending_update(data.get("pending_update")),
        schedule=_schedule(data.get("schedule")),
        latest_invoice_id=_id(invoice),
        open_invoice_url=expanded.get("hosted_invoice_url") if is_open else None,
        default_payment_method_id=_id(data.get("default_payment_method")),
        metadata=_metadata(data),
        livemode=bool(data.get("livemode")),
        pause=_pause(data),
        end_reason=(data.get("cancellation_details") or {}).get("reason"),
        # Past due too: a debit that came back was never a payment.
        awaits_first_payment=data["status"] in {"active", "past_due"}
        and is_open
        and expanded.get("billing_reason") == "subscription_create"
        and bool(expanded.get("amount_remaining"))
        # One that is paid by transfer is on credit until it is due; somebody agreed to that.
        and data.get("collection_method", "charge_automatically") == "charge_automatically",
    )


def invoice(data: Json) -> StripeInvoice:
    lines = tuple(_line(line) for line in (data.get("lines") or {}).get("data") or ())
    times = data.get("status_transitions") or {}
    parent = (data.get("parent") or {}).get("subscription_details") or {}
    invoice_id = data.get("id")
    return StripeInvoice(
        # A preview carries a made-up id under which nothing can be fetched.
        id=None if invoice_id is None or invoice_id.startswith("upcoming_") else invoice_id,
        customer_id=_id(data.get("customer")),
        subscription_id=_id(parent.get("subscription")),
        number=data.get("number"),
        status=data.get("status"),
        billing_reason=data.get("billing_reason"),
        currency=data["currency"],
        subtotal=data["subtotal"],
        discount=_amounts(data.get("total_discount_amounts")),
        discounts=_discounts(data),
        tax=_amounts(data.get("total_taxes")),
        total=data["total"],
        amount_due=data["amount_due"],
        amount_paid=data["amount_paid"],
        amount_remaining=data["amount_remaining"],
        created_at=_required_instant(data["created"]),
        period=_licensed_period(lines),
        finalized_at=_instant(times.get("finalized_at")),
        paid_at=_instant(times.get("paid_at")),
        voided_at=_instant(times.get("voided_at")),
        uncollectible_at=_instant(times.get("marked_uncollectible_at")),
        due_at=_instant(data.get("due_date")),
        attempt_count=data.get("attempt_count") or 0,
        next_attempt_at=_instant(data.get("next_payment_attempt")),
        hosted_url=data.get("hosted_invoice_url"),
        pdf_url=data.get("invoice_pdf"),
        lines=lines,
        metadata=dict(parent.get("metadata") or {}) | _metadata(data),
        livemode=bool(data.get("livemode")),
        buyer=_buyer(data),
        credited_before=data.get("pre_payment_credit_notes_amount") or 0,
        credited_after=data.get("post_payment_credit_notes_amount") or 0,
    )


def payment_method(data: Json) -> StripePaymentMethod:
    card = data.get("card")
    return StripePaymentMethod(
        id=data["id"],
        type=data["type"],
        card=StripeCard(card["brand"], card["last4"], card["exp_month"], card["exp_year"])
        if card
        else None,
        created_at=_required_instant(data["created"]),
    )


def _pause(data: Json) -> StripePause | None:
    if data["status"] == "paused":
        details = (data.get("status_details") or {}).get("paused") or {}
        # Accounts on versions before the details existed pause without saying why.
        return StripePause(False, (details.get("subscription") or {}).get("type"))
    resting = data.get("pause_collection")
    if resting:
        return StripePause(True, resting.get("behavior"), _instant(resting.get("resumes_at")))
    return None


def _buyer(data: Json) -> StripeBuyer:
    address = data.get("customer_address") or {}
    town = " ".join(part for name in ("postal_code", "city") if (part := address.get(name)))
    lines = (address.get("line1"), address.get("line2"), town, address.get("state"))
    return StripeBuyer(
        name=data.get("customer_name"),
        email=data.get("customer_email"),
        address=tuple(line for line in (*lines, address.get("country")) if line),
        tax_ids=tuple(
            item["value"] for item in data.get("customer_tax_ids") or () if item.get("value")
        ),
    )


def _item(data: Json) -> StripeItem:
    price = data["price"]
    recurring = price.get("recurring") or {}
    return StripeItem(
        id=data["id"],
        price_id=price["id"],
        is_metered=recurring.get("usage_type") == "metered",
        quantity=data.get("quantity"),
        unit_amount=price.get("unit_amount"),
        currency=price["currency"],
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count") or 1,
        period=_period(data.get("current_period_start"), data.get("current_period_end")),
    )


def _pending_update(data: Json | None) -> StripePendingUpdate | None:
    if not data:
        return None
    return StripePendingUpdate(
        price_ids=tuple(
            _required_id(item["price"]) for item in data.get("subscription_items") or ()
        ),
        expires_at=_required_instant(data["expires_at"]),
    )


def _schedule(data: object) -> StripeSchedule | None:
    if not isinstance(data, Mapping):
        # Unexpanded it is a bare id, and an id says nothing about what is scheduled.
        return None
    return StripeSchedule(
        id=data["id"],
        status=data["status"],
        phases=tuple(
            StripePhase(
                price_ids=tuple(_required_id(item["price"]) for item in phase["items"]),
                starts_at=_required_instant(phase["start_date"]),
                ends_at=_instant(phase.get("end_date")),
            )
            for phase in data["phases"]
        ),
    )


def _line(data: Json) -> StripeInvoiceLine:
    details = (data.get("pricing") or {}).get("price_details") or {}
    parent = data.get("parent") or {}
    source = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    period = data.get("period") or {}
    return StripeInvoiceLine(
        id=data["id"],
        description=data.get("description") or "",
        amount=data["amount"],
        currency=data["currency"],
        quantity=data.get("quantity"),
        price_id=_id(details.get("price")),
        period=_period(period.get("start"), period.get("end")),
        is_proration=bool(source.get("proration")),
    )


def _licensed_period(lines: tuple[StripeInvoiceLine, ...]) -> Period | None:
    # A renewal bills the coming period of the plan beside the past period of metered prices;
    # the invoice's own period_start and period_end name the past one, so the lines are read.
    periods = [line.period for line in lines if line.period and not line.is_proration]
    return max(periods, key=lambda period: (period.end, period.start)) if periods else None


def _discounts(data: Json) -> tuple[StripeDiscount, ...]:
    known = {one["id"]: one for one in data.get("discounts") or () if isinstance(one, Mapping)}
    return tuple(
        _discount(known.get(_id(part.get("discount")) or "", {}), part["amount"])
        for part in data.get("total_discount_amounts") or ()
        if part["amount"]
    )


def _discount(data: Json, amount: int) -> StripeDiscount:
    coupon = (data.get("source") or {}).get("coupon")
    if not isinstance(coupon, Mapping):
        # One of a single line, or a coupon that is not told: the amount is what counts.
        return StripeDiscount(coupon or "Discount", None, amount)
    percent = coupon.get("percent_off")
    return StripeDiscount(
        # Stripe's own documents show the id of a coupon without a name.
        name=coupon.get("name") or coupon["id"],
        percent=Decimal(str(percent)) if percent is not None else None,
        amount=amount,
    )


def _amounts(parts: object) -> int:
    return sum(part["amount"] for part in parts) if isinstance(parts, list) else 0


def _metadata(data: Json) -> dict[str, str]:
    return dict(data.get("metadata") or {})


def _period(start: int | None, end: int | None) -> Period | None:
    if start is None or end is None or end <= start:
        return None
    return Period(_required_instant(start), _required_instant(end))
