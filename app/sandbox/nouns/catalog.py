"""The table of contents: every noun's calls, what can be expanded, what keeps appointments, what follows events."""

from collections.abc import Callable

from app.sandbox.billing import disputing, refunding, renewal, schedules, settlement
from app.sandbox.core import thin
from app.sandbox.core.expanding import Includable
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.core.timeline import Appointment
from app.sandbox.nouns import (
    accounts,
    charges,
    checkout_sessions,
    coupons,
    credit_notes,
    customers,
    disputes,
    event_destinations,
    events,
    invoice_payments,
    invoiceitems,
    invoices,
    meter_events,
    meters,
    payment_intents,
    payment_methods,
    payment_pages,
    portal_configurations,
    portal_sessions,
    previews,
    prices,
    products,
    promotion_codes,
    refunds,
    setup_intents,
    subscription_items,
    subscription_pauses,
    subscription_schedules,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)

OPERATIONS: tuple[Operation, ...] = (
    *accounts.OPERATIONS,
    *charges.OPERATIONS,
    *checkout_sessions.OPERATIONS,
    *coupons.OPERATIONS,
    *credit_notes.OPERATIONS,
    *customers.OPERATIONS,
    *disputes.OPERATIONS,
    *event_destinations.OPERATIONS,
    *events.OPERATIONS,
    *invoice_payments.OPERATIONS,
    *invoiceitems.OPERATIONS,
    *previews.OPERATIONS,
    *invoices.OPERATIONS,
    *meter_events.OPERATIONS,
    *meters.OPERATIONS,
    *payment_intents.OPERATIONS,
    *payment_methods.OPERATIONS,
    *portal_configurations.OPERATIONS,
    *portal_sessions.OPERATIONS,
    *prices.OPERATIONS,
    *products.OPERATIONS,
    *promotion_codes.OPERATIONS,
    *refunds.OPERATIONS,
    *setup_intents.OPERATIONS,
    *subscription_schedules.OPERATIONS,
    *subscription_items.OPERATIONS,
    *subscription_pauses.OPERATIONS,
    *subscriptions.OPERATIONS,
    *test_clocks.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
)
UNDOCUMENTED: tuple[Operation, ...] = payment_pages.OPERATIONS
"""Calls that Stripe's own tools make and no SDK knows."""
INCLUDABLE: dict[tuple[str, str], Includable] = {
    ("charge", "refunds"): charges.refunds_of,
    ("checkout.session", "line_items"): checkout_sessions.line_items,
    ("customer", "subscriptions"): subscriptions.of_customer,
    ("invoice", "confirmation_secret"): invoices.confirmation_secret,
    ("invoice", "payments"): invoice_payments.of_invoice,
    ("price", "tiers"): prices.tiers_of,
}
APPOINTMENTS: dict[str, Appointment] = {
    "charge": disputing.keep_charge,
    "checkout.session": checkout_sessions.keep_appointment,
    "dispute": disputing.keep_appointment,
    "invoice": settlement.keep_appointment,
    "payment_intent": settlement.hear_from_bank,
    "refund": refunding.keep_appointment,
    "subscription": renewal.keep_appointment,
    "subscription_schedule": schedules.keep_appointment,
}
FOLLOWERS: tuple[Callable[[Sandbox, Doc, Doc], None], ...] = (thin.twin, disputing.on_event)
