"""Which fact wakes which jobs. A fact and its jobs are one commit; see `infra/db/unit_of_work.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from app.auth.events import PasswordChanged, PasswordResetRequested
from app.budgets.events import BudgetThresholdReached
from app.credits.events import (
    AutoTopUpFailed,
    CreditExpiring,
    CreditLow,
    CreditNotTakenBack,
    CreditToppedUp,
)
from app.infra.jobs.queue import NewJob
from app.invoices.events import (
    InvoiceIssued,
    InvoicePaid,
    OwnPaymentActionRequired,
    OwnPaymentFailed,
    OwnPaymentRecovered,
    PaidTooMuch,
    PromiseBroken,
    RefundPromised,
)
from app.kernel.facts import Fact
from app.kernel.ids import new_id
from app.notifications.events import EndpointDisabled
from app.organizations.events import (
    CreditUseChanged,
    MemberInvited,
    MemberRemoved,
    QuotaWindowChanged,
)
from app.payments.events import DisputeClosed, DisputeOpened, RefundFailed, RefundMade
from app.pricing.events import PricesAdded
from app.recovery.events import GraceEnded, GraceEnding
from app.subscriptions.events import (
    DuplicateSubscription,
    PaymentActionRequired,
    PaymentFailed,
    PaymentMethodExpiring,
    PaymentRecovered,
    PriceUnknown,
    SubscriptionChanged,
    TrialEnding,
)
from app.usage.events import (
    ModelUnpriced,
    QuotaThresholdReached,
    SpendThresholdReached,
    UsageVoided,
)
from app.users.events import EmailVerificationRequested

SUBSCRIPTIONS: dict[type[Fact], tuple[str, ...]] = {
    UsageVoided: ("metered.take_back",),
    EmailVerificationRequested: ("notifications.email_verification",),
    PasswordResetRequested: ("notifications.password_reset",),
    PasswordChanged: ("notifications.password_changed",),
    MemberInvited: ("notifications.invite",),
    MemberRemoved: ("auth.delete_keys_of_member",),
    QuotaWindowChanged: ("usage.place_again",),
    BudgetThresholdReached: ("notifications.budget_threshold",),
    SpendThresholdReached: ("budgets.raise_alert",),
    PricesAdded: ("usage.price_waiting",),
    ModelUnpriced: ("notifications.model_unpriced",),
    QuotaThresholdReached: ("notifications.quota_threshold",),
    InvoiceIssued: ("invoices.collect", "notifications.invoice_ready"),
    InvoicePaid: ("notifications.receipt", "payments.look_up"),
    SubscriptionChanged: ("recovery.follow",),
    OwnPaymentFailed: ("notifications.payment_failed", "recovery.note_failure"),
    OwnPaymentActionRequired: (
        "notifications.payment_action_required",
        "recovery.note_action_required",
    ),
    OwnPaymentRecovered: ("recovery.note_payment",),
    PaymentFailed: ("notifications.payment_failed", "recovery.note_failure"),
    PaymentActionRequired: (
        "notifications.payment_action_required",
        "recovery.note_action_required",
    ),
    PaymentRecovered: (
        "notifications.payment_recovered",
        "recovery.note_payment",
    ),
    PaymentMethodExpiring: ("notifications.payment_method_expiring",),
    TrialEnding: ("notifications.trial_ending",),
    GraceEnding: ("notifications.grace_ending",),
    GraceEnded: ("notifications.grace_ended",),
    DuplicateSubscription: ("notifications.duplicate_subscription",),
    CreditUseChanged: ("credits.follow_plan",),
    CreditLow: ("credits.top_up",),
    CreditToppedUp: ("notifications.credit_topped_up",),
    CreditNotTakenBack: ("notifications.credit_not_taken_back",),
    AutoTopUpFailed: ("notifications.auto_top_up_failed",),
    CreditExpiring: ("notifications.credit_expiring",),
    EndpointDisabled: ("notifications.endpoint_disabled",),
    PriceUnknown: ("notifications.price_unknown",),
    RefundMade: (
        "notifications.refund_made",
        "payments.follow_refund",
        "payments.take_back_refunded",
    ),
    RefundFailed: (
        "notifications.refund_failed",
        "payments.follow_refund",
        "payments.take_back_refunded",
    ),
    RefundPromised: ("payments.keep_promise",),
    PromiseBroken: ("notifications.refund_not_sent",),
    PaidTooMuch: ("notifications.paid_too_much",),
    DisputeOpened: ("notifications.dispute_opened",),
    DisputeClosed: ("notifications.dispute_closed", "payments.take_back_disputed"),
}


def followers(facts: Sequence[Fact]) -> list[NewJob]:
    """One job per fact and subscriber, carrying the fact's fields.

    `fact_id` names the announcement: a job that is delivered twice sees the same one, so it can
    tell a repeat from the same thing happening again.
    """
    jobs: list[NewJob] = []
    for fact in facts:
        payload = {item.name: getattr(fact, item.name) for item in fields(fact)}
        payload["fact_id"] = new_id()
        jobs.extend(NewJob(name=job, payload=payload) for job in SUBSCRIPTIONS.get(type(fact), ()))
    return jobs
