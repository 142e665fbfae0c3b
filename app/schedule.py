"""Which job runs when (cron, UTC)."""

from app.infra.jobs.worker import Scheduled

SCHEDULE: tuple[Scheduled, ...] = (
    Scheduled("platform.clean_up", "*/15 * * * *"),
    Scheduled("auth.forget_expired", "*/15 * * * *"),
    Scheduled("credits.let_lapse", "*/10 * * * *"),
    Scheduled("credits.settle_use", "* * * * *"),
    Scheduled("credits.warn_of_expiry", "25 * * * *"),
    Scheduled("credits.sweep_top_ups", "50 * * * *"),
    Scheduled("discounts.tell_stripe", "35 * * * *"),
    Scheduled("discounts.release_forgotten", "45 * * * *"),
    Scheduled("doctor.make_round", "7,22,37,52 * * * *"),
    Scheduled("usage.expire_reservations", "* * * * *"),
    Scheduled("usage.alert_unpriced", "*/15 * * * *"),
    Scheduled("usage.announce_spend", "*/5 * * * *"),
    Scheduled("usage.make_partitions", "10 3 * * *"),
    Scheduled("usage.fold_hours", "40 3 * * *"),
    Scheduled("usage.fold_all_hours", "40 4 1 * *"),
    Scheduled("invoices.close_windows", "5 * * * *"),
    Scheduled("sinks.tell_lago", "* * * * *"),
    Scheduled("sinks.put_counters", "* * * * *"),
    Scheduled("notifications.sweep", "*/5 * * * *"),
    Scheduled("metered.report", "* * * * *"),
    Scheduled("metered.forget_events", "30 4 * * *"),
    Scheduled("payments.make_requested_refunds", "* * * * *"),
    Scheduled("notifications.forget", "30 4 * * *"),
    Scheduled("recovery.sweep", "*/15 * * * *"),
    Scheduled("subscriptions.look_at_cards", "25 6 1,15 * *"),
    Scheduled("webhooks.sweep_stripe_events", "*/5 * * * *"),
    Scheduled("reconciliation.run", "17 * * * *"),
    Scheduled("webhooks.forget_stripe_payloads", "20 4 * * *"),
)
