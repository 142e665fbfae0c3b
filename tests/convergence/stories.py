"""The lives of a subscription, as Stripe tells them; each letter is a sequence of Stripe's.

A story begins with an open payment page. What it tells before `begin` is heard in order; what
comes after it is what arrives in every order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from app.gateways.stripe.gateway import StripePendingUpdate
from app.kernel.periods import Period, plus_months
from tests.convergence.history import Author

CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
DELETED = "customer.subscription.deleted"


@dataclass(frozen=True)
class Story:
    """What happens, and what must be left of it whatever order it is heard in."""

    name: str
    write: Callable[[Author], int | None]
    """Writes the history; the number of events that are heard in order first."""
    status: str
    plan: str
    """What is granted at the end."""
    periods: int
    """How many periods were paid for, each with a fresh quota."""
    receipts: int
    failures: int = 0
    """Invoices whose payment still fails at the end."""
    trial_days: int = 0
    money: tuple[str, bool, int] | None = None
    """How the refund or the dispute ended, whether one is open, and what went back."""


ACTIVE = ("active", "professional", 1, 1)


def _bought(author: Author) -> int:
    """Everything until the subscription runs and its first invoice is paid."""
    first = author.pay()
    author.tell(
        CREATED, ("invoice.paid", first), ("checkout.session.completed", author.checkout_id)
    )
    author.later(days=30)
    return len(author.history.events)


def trial_begins(author: Author) -> None:
    first = author.pay()
    done = author.stripe.invoices[first]
    author.change(latest_invoice_id=first)
    author.stripe.invoices[first] = replace(done, status="draft", paid_at=None, attempt_count=0)
    author.tell(CREATED, ("invoice.created", first))
    author.stripe.invoices[first] = done
    author.tell(
        ("invoice.finalized", first),
        ("invoice.paid", first),
        ("payment_method.attached", "pm_1"),
        ("checkout.session.completed", author.checkout_id),
        customer=author.subscription.customer_id,
    )
    author.later(days=11)
    author.tell("customer.subscription.trial_will_end")


def trial_ends(author: Author) -> int:
    first = author.pay()
    author.tell(CREATED, ("invoice.paid", first))
    heard = len(author.history.events)
    author.later(days=11)
    author.tell("customer.subscription.trial_will_end")
    author.later(days=3)
    author.turn(status="active")
    second = author.bill("subscription_cycle")
    author.tell(("invoice.created", second), UPDATED, "v1.customer.subscription.active")
    author.later(hours=1)
    author.finalize(second)
    author.tell(("invoice.finalized", second))
    author.collect(second)
    author.tell(("invoice.paid", second), ("v1.invoice.paid", second))
    return heard


def paid_checkout(author: Author) -> None:
    first = author.pay()
    done = author.stripe.invoices[first]
    author.stripe.invoices[first] = replace(
        done, status="open", paid_at=None, amount_paid=0, amount_remaining=done.amount_due
    )
    author.tell(CREATED, ("invoice.created", first), ("invoice.finalized", first))
    author.stripe.invoices[first] = done
    author.tell(("invoice.paid", first), ("v1.invoice.paid", first))
    author.tell(
        ("checkout.session.completed", author.checkout_id),
        ("payment_method.attached", "pm_1"),
        customer=author.subscription.customer_id,
    )


def renewal(author: Author) -> int:
    heard = _bought(author)
    author.tell(("invoice.upcoming", None), subscription=author.subscription_id)
    author.later(days=7)
    author.turn()
    second = author.bill("subscription_cycle")
    author.tell(("invoice.created", second), UPDATED, "v1.customer.subscription.updated")
    author.later(hours=1)
    author.finalize(second)
    author.tell(("invoice.finalized", second))
    author.collect(second)
    author.tell(("invoice.paid", second), ("v1.invoice.paid", second))
    return heard


def _failing_renewal(author: Author) -> tuple[int, str]:
    heard = _bought(author)
    author.turn()
    second = author.bill("subscription_cycle")
    author.finalize(second)
    author.tell(("invoice.finalized", second))
    author.fail(second, author.now + timedelta(days=3))
    author.change(status="past_due", latest_invoice_id=second)
    author.tell(("invoice.payment_failed", second), UPDATED)
    author.later(days=3)
    author.fail(second, author.now + timedelta(days=5))
    author.tell(("invoice.payment_failed", second))
    return heard, second


def recovered(author: Author) -> int:
    heard, second = _failing_renewal(author)
    author.later(days=5)
    author.collect(second)
    author.change(status="active")
    author.tell(("invoice.paid", second), UPDATED, "v1.customer.subscription.active")
    return heard


def failed_for_good(author: Author) -> int:
    heard, second = _failing_renewal(author)
    author.later(days=5)
    author.fail(second)
    author.change(status="canceled", ended_at=author.now, canceled_at=author.now)
    author.tell(("invoice.payment_failed", second), DELETED, "v1.customer.subscription.canceled")
    return heard


def unpaid(author: Author) -> int:
    heard, second = _failing_renewal(author)
    author.later(days=5)
    author.fail(second)
    author.change(status="unpaid")
    author.tell(("invoice.payment_failed", second), UPDATED)
    author.set_invoice(second, status="uncollectible", uncollectible_at=author.now)
    author.tell(("invoice.marked_uncollectible", second))
    return heard


def still_past_due(author: Author) -> int:
    heard, second = _failing_renewal(author)
    author.later(days=4)
    author.fail(second)
    author.tell(("invoice.payment_failed", second), ("v1.invoice.payment_failed", second))
    return heard


def paused_by_failure(author: Author) -> int:
    heard, second = _failing_renewal(author)
    author.later(days=5)
    author.fail(second)
    author.change(status="paused")
    author.tell(("invoice.payment_failed", second), "customer.subscription.paused", UPDATED)
    return heard


def fails_twice(author: Author) -> int:
    """A renewal that fails and is paid, and the next one fails: two troubles, not one."""
    heard = _bought(author)
    author.turn(status="past_due")
    second = author.bill("subscription_cycle")
    author.finalize(second)
    author.fail(second)
    author.tell(("invoice.payment_failed", second), UPDATED)
    author.later(days=2)
    author.collect(second)
    author.change(status="active")
    author.tell(("invoice.paid", second), UPDATED)
    author.later(days=28)
    author.turn(status="past_due")
    third = author.bill("subscription_cycle")
    author.finalize(third)
    author.tell(("invoice.finalized", third))
    author.fail(third)
    author.tell(("invoice.payment_failed", third), UPDATED)
    return heard


def upgrade(author: Author) -> int:
    heard = _bought(author)
    author.sell("price_enterprise")
    bill = author.bill("subscription_update")
    author.tell(UPDATED, ("invoice.created", bill), "v1.customer.subscription.item_price_changed")
    author.finalize(bill)
    author.tell(("invoice.finalized", bill))
    author.collect(bill)
    author.tell(("invoice.paid", bill), ("v1.invoice.paid", bill))
    return heard


def _pending_upgrade(author: Author) -> tuple[int, str]:
    heard = _bought(author)
    update = StripePendingUpdate(("price_enterprise",), author.now + timedelta(hours=23))
    bill = author.bill("subscription_update")
    author.finalize(bill)
    author.change(pending_update=update, latest_invoice_id=bill)
    author.tell(UPDATED)
    author.fail(bill)
    author.tell(("invoice.payment_failed", bill), ("invoice.payment_action_required", bill))
    return heard, bill


def upgrade_paid_late(author: Author) -> int:
    heard, bill = _pending_upgrade(author)
    author.later(hours=2)
    author.collect(bill)
    author.sell("price_enterprise")
    author.change(pending_update=None)
    author.tell(("invoice.paid", bill), "customer.subscription.pending_update_applied", UPDATED)
    return heard


def upgrade_given_up(author: Author) -> int:
    heard, bill = _pending_upgrade(author)
    author.later(hours=23)
    author.set_invoice(bill, status="void", voided_at=author.now)
    author.change(pending_update=None)
    author.tell("customer.subscription.pending_update_expired", ("invoice.voided", bill))
    return heard


def cancelled_and_undone(author: Author) -> int:
    heard = _bought(author)
    end = author.subscription.period.end if author.subscription.period else author.now
    author.change(cancel_at_period_end=True, cancel_at=end, canceled_at=author.now)
    author.tell(UPDATED)
    author.change(cancel_at_period_end=False, cancel_at=None, canceled_at=None)
    author.tell(UPDATED)
    author.change(cancel_at=end, canceled_at=author.now)
    author.tell(UPDATED, "v1.customer.subscription.cancel_at_changed")
    author.later(days=1)
    author.change(status="canceled", ended_at=author.now)
    author.tell(DELETED)
    bill = author.bill("subscription_cycle", lines=(), period=None)
    author.finalize(bill)
    author.collect(bill)
    author.tell(("invoice.finalized", bill), ("invoice.paid", bill))
    return heard


def cancelled_at_once(author: Author) -> int:
    heard = _bought(author)
    author.change(status="canceled", canceled_at=author.now, ended_at=author.now)
    author.tell(DELETED, "v1.customer.subscription.canceled")
    bill = author.bill("manual", lines=(), period=None)
    author.tell(("invoice.created", bill))
    author.finalize(bill)
    author.collect(bill)
    author.tell(("invoice.finalized", bill), ("invoice.paid", bill))
    author.tell(("customer.deleted", author.subscription.customer_id))
    return heard


def paused_and_resumed(author: Author) -> int:
    heard = _bought(author)
    author.change(status="paused")
    author.tell("customer.subscription.paused", UPDATED)
    author.later(days=5)
    month = Period(author.now, plus_months(author.now, 1))
    author.change(items=tuple(replace(item, period=month) for item in author.subscription.items))
    bill = author.bill("subscription_cycle")
    author.finalize(bill)
    author.tell(("invoice.finalized", bill))
    author.collect(bill)
    author.change(status="active")
    author.tell(("invoice.paid", bill), "customer.subscription.resumed", UPDATED)
    return heard


def strong_authentication(author: Author) -> None:
    first = author.pay()
    done = author.stripe.invoices[first]
    asked = replace(
        done, status="open", paid_at=None, amount_paid=0, amount_remaining=done.amount_due
    )
    author.stripe.invoices[first] = asked
    author.change(status="incomplete", latest_invoice_id=first)
    author.tell(CREATED, ("invoice.finalized", first))
    author.tell(("invoice.payment_action_required", first))
    author.later(hours=1)
    author.stripe.invoices[first] = done
    author.change(status="active")
    author.tell(
        ("invoice.paid", first), UPDATED, ("checkout.session.completed", author.checkout_id)
    )


def never_confirmed(author: Author) -> None:
    first = author.pay()
    done = author.stripe.invoices[first]
    author.stripe.invoices[first] = replace(
        done, status="open", paid_at=None, amount_paid=0, amount_remaining=done.amount_due
    )
    author.change(status="incomplete", latest_invoice_id=first)
    author.tell(CREATED, ("invoice.finalized", first))
    author.tell(("invoice.payment_action_required", first), ("invoice.payment_failed", first))
    author.later(hours=23)
    author.set_invoice(first, status="void", voided_at=author.now)
    author.change(status="incomplete_expired", ended_at=author.now)
    author.tell(UPDATED, ("invoice.voided", first))


def _delayed(author: Author) -> str:
    first = author.pay()
    done = author.stripe.invoices[first]
    author.stripe.invoices[first] = replace(
        done, status="open", paid_at=None, amount_paid=0, amount_remaining=done.amount_due
    )
    page = author.stripe.checkouts[author.checkout_id]
    author.stripe.checkouts[author.checkout_id] = replace(page, payment_status="unpaid")
    author.tell(
        CREATED, ("invoice.finalized", first), ("checkout.session.completed", author.checkout_id)
    )
    author.later(days=4)
    return first


def delayed_and_paid(author: Author) -> None:
    first = _delayed(author)
    author.collect(first)
    page = author.stripe.checkouts[author.checkout_id]
    author.stripe.checkouts[author.checkout_id] = replace(page, payment_status="paid")
    author.tell(
        ("checkout.session.async_payment_succeeded", author.checkout_id),
        ("invoice.paid", first),
        ("v1.invoice.paid", first),
        UPDATED,
    )


def delayed_and_failed(author: Author) -> None:
    first = _delayed(author)
    author.fail(first)
    author.change(status="past_due", latest_invoice_id=first)
    author.tell(
        ("checkout.session.async_payment_failed", author.checkout_id),
        ("invoice.payment_failed", first),
        UPDATED,
    )
    author.later(days=1)
    author.change(status="canceled", ended_at=author.now)
    author.tell(DELETED)


def disputed_and_won(author: Author) -> int:
    heard = _bought(author)
    author.charge()
    author.tell(("charge.succeeded", "ch_1"))
    author.charge(is_disputed=True)
    author.dispute("needs_response")
    author.tell(("charge.dispute.created", "dp_1"), ("charge.updated", "ch_1"))
    author.tell(("charge.dispute.funds_withdrawn", "dp_1"))
    author.later(days=20)
    author.dispute("won")
    author.tell(("charge.dispute.closed", "dp_1"), ("charge.dispute.funds_reinstated", "dp_1"))
    return heard


def asked_then_disputed_and_lost(author: Author) -> int:
    heard = _bought(author)
    author.charge(is_disputed=True)
    author.dispute("warning_needs_response")
    author.tell(("charge.dispute.created", "dp_1"), ("charge.updated", "ch_1"))
    author.dispute("needs_response")
    author.tell(("charge.dispute.updated", "dp_1"), ("charge.dispute.funds_withdrawn", "dp_1"))
    author.later(days=20)
    author.dispute("lost")
    author.tell(("charge.dispute.closed", "dp_1"))
    return heard


def refund_that_fails(author: Author) -> int:
    heard = _bought(author)
    author.charge()
    author.tell(("charge.succeeded", "ch_1"))
    author.charge(amount_refunded=1000)
    author.refund("pending", 1000)
    author.tell(("refund.created", "re_1"), ("charge.refunded", "ch_1"))
    author.refund("succeeded", 1000)
    author.tell(("refund.updated", "re_1"))
    author.later(days=5)
    author.charge(amount_refunded=0)
    author.refund("failed", 1000)
    author.tell(("refund.failed", "re_1"), ("charge.refund.updated", "re_1"))
    return heard


STORIES = (
    Story("A1 a trial begins", trial_begins, "trialing", "professional", 1, 1, trial_days=14),
    Story("A2 a trial ends", trial_ends, "active", "professional", 2, 2, trial_days=14),
    Story("B paid at once", paid_checkout, "active", "professional", 1, 1),
    Story("C a renewal", renewal, "active", "professional", 2, 2),
    Story("D1 failed, then paid", recovered, "active", "professional", 2, 2),
    Story("D2 failed for good", failed_for_good, "canceled", "free", 1, 1, failures=1),
    Story("D3 left unpaid", unpaid, "unpaid", "free", 1, 1),
    Story("D4 still past due", still_past_due, "past_due", "professional", 1, 1, failures=1),
    Story("D5 paused by a failure", paused_by_failure, "paused", "free", 1, 1, failures=1),
    Story("D6 fails, is paid, fails", fails_twice, "past_due", "professional", 2, 2, failures=1),
    Story("E1 an upgrade", upgrade, "active", "enterprise", 1, 2),
    Story("E2 an upgrade paid late", upgrade_paid_late, "active", "enterprise", 1, 2),
    Story("E3 an upgrade given up", upgrade_given_up, "active", "professional", 1, 1),
    Story("F ends with its period", cancelled_and_undone, "canceled", "free", 1, 2),
    Story("G ends at once", cancelled_at_once, "canceled", "free", 1, 2),
    Story("H paused and resumed", paused_and_resumed, "active", "professional", 2, 2),
    Story("I1 disputed and won", disputed_and_won, *ACTIVE, money=("won", False, 0)),
    Story(
        "I2 asked, disputed, lost", asked_then_disputed_and_lost, *ACTIVE, money=("lost", False, 0)
    ),
    Story("J a refund that fails", refund_that_fails, *ACTIVE, money=("failed", False, 0)),
    Story("K1 confirmed with the bank", strong_authentication, "active", "professional", 1, 1),
    Story("K2 never confirmed", never_confirmed, "incomplete_expired", "free", 0, 0),
    Story("L1 delayed and paid", delayed_and_paid, "active", "professional", 1, 1),
    Story("L2 delayed and failed", delayed_and_failed, "canceled", "free", 0, 0, failures=1),
)
