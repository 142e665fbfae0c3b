"""A subscription as Stripe describes it, written into its row of the mirror. Asks nobody."""

from __future__ import annotations

from datetime import datetime

from app.catalog.domain import Catalog
from app.gateways.stripe.gateway import StripeItem, StripePhase, StripeSubscription
from app.subscriptions.domain import ENDED, PauseKind, PendingReason
from app.subscriptions.models import Subscription


def plan_item(subscription: StripeSubscription, catalog: Catalog) -> StripeItem | None:
    """The item that sells a plan, whichever place it has in the list; the highest, if several."""
    best: tuple[int, StripeItem] | None = None
    for item in subscription.licensed:
        sold = catalog.plan_for_price(item.price_id)
        plan = catalog.plan(sold[0]) if sold else None
        if plan is not None and (best is None or plan.rank > best[0]):
            best = plan.rank, item
    return best[1] if best else None


def coming_phase(subscription: StripeSubscription) -> StripePhase | None:
    """What a schedule in force brings at the end of the period."""
    schedule = subscription.schedule
    if schedule is None or not schedule.is_in_force:
        return None
    # By Stripe's own calendar, not by our clock: the two may differ by a test clock.
    end = subscription.period.end if subscription.period else subscription.created_at
    return next((phase for phase in schedule.phases if phase.starts_at >= end), None)


def visible(row: Subscription) -> tuple[object, ...]:
    """What of a row is news to anybody when it differs."""
    return (
        row.status,
        row.plan,
        row.interval,
        row.period_end,
        row.cancel_at,
        row.cancel_at_period_end,
        row.trial_end,
        row.pending_plan,
        row.pause_kind,
        row.awaits_first_payment,
    )


def copy_item(row: Subscription, item: StripeItem, catalog: Catalog) -> None:
    sold = catalog.plan_for_price(item.price_id)
    if sold is None:
        return
    if row.plan != sold[0]:
        # A version is kept until somebody moves to another plan.
        row.catalog_version = catalog.id
    row.plan, row.interval = sold
    row.price_id = item.price_id
    row.amount = None if item.unit_amount is None else item.unit_amount * (item.quantity or 1)


def copy_subscription(
    row: Subscription, subscription: StripeSubscription, catalog: Catalog, now: datetime
) -> None:
    period = subscription.period
    row.stripe_customer_id = subscription.customer_id
    row.status = subscription.status
    row.currency = subscription.currency
    row.created_at = subscription.created_at
    row.period_start = period.start if period else None
    row.period_end = period.end if period else None
    row.cancel_at_period_end = subscription.cancel_at_period_end
    row.cancel_at = subscription.cancel_at
    row.canceled_at = subscription.canceled_at
    row.ended_at = subscription.ended_at
    row.end_reason = subscription.end_reason
    # Stripe may forget a trial when terms change; here it stays, for there is only one.
    row.trial_started_at = row.trial_started_at or subscription.trial_start
    row.trial_end = subscription.trial_end
    row.awaits_first_payment = subscription.awaits_first_payment
    row.default_payment_method_id = subscription.default_payment_method_id
    row.open_invoice_url = subscription.open_invoice_url
    schedule = subscription.schedule
    row.schedule_id = schedule.id if schedule and schedule.is_in_force else None
    if subscription.status != "past_due":
        row.past_due_seen_at = None
    elif row.past_due_seen_at is None:
        row.past_due_seen_at = now
    _copy_pause(row, subscription)
    _copy_pending(row, subscription, catalog)


def _copy_pause(row: Subscription, subscription: StripeSubscription) -> None:
    pause = subscription.pause
    row.pause_kind = row.pause_reason = row.pause_resumes_at = None
    if pause is not None and subscription.status not in ENDED:
        kind = PauseKind.COLLECTION if pause.is_collection else PauseKind.SUBSCRIPTION
        row.pause_kind = kind.value
        row.pause_reason, row.pause_resumes_at = pause.reason, pause.resumes_at


def _copy_pending(row: Subscription, subscription: StripeSubscription, catalog: Catalog) -> None:
    row.pending_plan = row.pending_interval = None
    row.pending_effective_at = row.pending_reason = None
    if subscription.status in ENDED:
        return
    if (update := subscription.pending_update) is not None:
        _set_pending(row, catalog, update.price_ids, update.expires_at, PendingReason.PAYMENT)
    elif (coming := coming_phase(subscription)) is not None:
        _set_pending(row, catalog, coming.price_ids, coming.starts_at, PendingReason.PERIOD_END)


def _set_pending(
    row: Subscription,
    catalog: Catalog,
    price_ids: tuple[str, ...],
    at: datetime,
    reason: PendingReason,
) -> None:
    sold = [catalog.plan_for_price(price_id) for price_id in price_ids]
    plan, interval = next((one for one in sold if one is not None), (None, None))
    if plan is not None and (plan, interval) != (row.plan, row.interval):
        row.pending_plan, row.pending_interval = plan, interval
        row.pending_effective_at, row.pending_reason = at, reason.value
