"""Who has access and until when, and what a change of plan means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.gateways.stripe.gateway import StripeCard
from app.kernel.ids import UserId
from app.kernel.periods import Period
from app.subscriptions.given import GivenBilling

GRANTING = frozenset({"trialing", "active", "past_due"})
LIVE = GRANTING | {"unpaid", "paused"}
"""Statuses of a subscription that goes on; there is no second one beside it."""
ENDED = frozenset({"canceled", "incomplete_expired"})
"""Statuses that Stripe never leaves."""

UNPAID_PAUSES = frozenset({"first_payment_failure", "final_payment_failure"})

WINDOW_OPENING_REASONS = frozenset({"subscription_create", "subscription_cycle"})


class PaymentState(StrEnum):
    """How an organization stands with its payments."""

    OK = "ok"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    DISPUTED = "disputed"
    PROCESSING = "processing"
    """The first payment is on its way; until it arrives nothing is granted."""


class Direction(StrEnum):
    """What a change of plan is to the customer."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    SAME = "same"


class ChangeOutcome(StrEnum):
    """What has become of a requested change."""

    APPLIED = "applied"
    SCHEDULED = "scheduled"
    PENDING = "pending"
    """It waits for its payment, at the link that is shown."""


class PauseKind(StrEnum):
    """What rests in a pause."""

    SUBSCRIPTION = "subscription"
    """All of it; nothing is granted meanwhile."""
    COLLECTION = "collection"
    """Only the collecting of invoices."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A subscription that bills nothing for now."""

    kind: PauseKind
    reason: str | None
    resumes_at: datetime | None


class PendingReason(StrEnum):
    """What a change that is not in force yet waits for."""

    PAYMENT = "payment"
    PERIOD_END = "period_end"


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change to come: at the end of the period, or when it is paid."""

    plan: str
    interval: str | None
    effective_at: datetime | None
    """When it happens by itself; for a payment, when it lapses."""
    reason: PendingReason


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription as the rule of access sees it."""

    id: UUID
    status: str
    rank: int
    """The rank of its plan; higher is better."""
    created_at: datetime
    first_failed_at: datetime | None = None
    awaits_first_payment: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An invoice that is owed and whose payment failed."""

    billing_reason: str | None
    first_failed_at: datetime
    pay_url: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which subscription counts, which one is shown, and which are too many."""

    counts: Held | None
    shown: Held | None
    duplicates: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Price:
    """What is bought of a plan: how often, for how much."""

    plan: str
    interval: str
    rank: int


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """Everything that is shown about what an organization holds."""

    tier: str
    """What is granted now."""
    plan: str
    """What was bought; it outlives the grant while a payment is missing."""
    status: str
    period: Period | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    trial_end: datetime | None
    amount: int | None
    currency: str | None
    interval: str | None
    payment_state: PaymentState
    grace_until: datetime | None
    pending_change: PendingChange | None
    pause: Pause | None
    pay_url: str | None
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subscription stands with its payments."""

    subscription_id: UUID
    status: str
    first_failed_at: datetime | None
    """Since when a payment is missing, while one is."""
    grace_until: datetime | None
    end_reason: str | None
    pause_reason: str | None
    is_duplicate: bool
    awaits_first_payment: bool
    """Whether nothing has been paid for it yet; it has no grace, for there is nothing to keep."""


# Not frozen: it is built from each row of the hot read.
@dataclass(slots=True)
class Mirrored:
    """What is shown of a subscription in the mirror; its fields are columns."""

    id: UUID
    plan: str
    status: str
    created_at: datetime
    period_start: datetime | None
    period_end: datetime | None
    cancel_at_period_end: bool
    cancel_at: datetime | None
    trial_end: datetime | None
    amount: int | None
    currency: str
    interval: str
    first_failed_at: datetime | None
    pending_plan: str | None
    pending_interval: str | None
    pending_effective_at: datetime | None
    pending_reason: str | None
    pause_kind: str | None
    pause_reason: str | None
    pause_resumes_at: datetime | None
    awaits_first_payment: bool
    pay_url: str | None

    @property
    def pause(self) -> Pause | None:
        if self.pause_kind is None:
            return None
        return Pause(PauseKind(self.pause_kind), self.pause_reason, self.pause_resumes_at)

    @property
    def period(self) -> Period | None:
        if self.period_start is None or self.period_end is None:
            return None
        return Period(self.period_start, self.period_end)

    @property
    def pending_change(self) -> PendingChange | None:
        if self.pending_plan is None or self.pending_reason is None:
            return None
        return PendingChange(
            plan=self.pending_plan,
            interval=self.pending_interval,
            effective_at=self.pending_effective_at,
            reason=PendingReason(self.pending_reason),
        )

    @property
    def ends_with_period(self) -> bool:
        # Stripe's portal schedules the same end by an instant instead of the flag.
        return self.cancel_at_period_end or (
            self.cancel_at is not None and self.cancel_at == self.period_end
        )


MIRRORED_COLUMNS = tuple(each.name for each in fields(Mirrored))


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """What somebody wants to buy, and where they go afterwards."""

    plan: str
    interval: str
    success_url: str
    cancel_url: str
    trial_days: int | None = None
    promo_code: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckoutLink:
    """A page to pay on."""

    id: str
    url: str
    expires_at: datetime


class VisitStatus(StrEnum):
    """How a page to pay on stands."""

    OPEN = "open"
    PROCESSING = "processing"
    """Completed; the money, or the news of it, is on its way."""
    COMPLETE = "complete"
    EXPIRED = "expired"
    FAILED = "failed"
    """Completed, and days later the money did not come."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A page to pay on as its visitor sees it afterwards."""

    id: str
    status: VisitStatus
    plan: str
    interval: str
    is_active: bool
    """Whether what was bought is in force."""


@dataclass(frozen=True, slots=True)
class GivenPlan:
    """A plan that an operator gave, and what is granted with it."""

    plan: str
    tier: str
    reason: str
    granted_by: UserId
    granted_at: datetime
    ends_at: datetime
    billing: GivenBilling
    usage_billing: GivenBilling


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What a requested change came to."""

    outcome: ChangeOutcome
    effective_at: datetime | None


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """One line of what a change would bill."""

    description: str
    amount: int
    currency: str
    period: Period | None
    is_proration: bool


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change would bill, and when it would hold."""

    direction: Direction
    lines: tuple[PreviewLine, ...]
    amount_due: int
    currency: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A way to pay that is saved."""

    id: str
    type: str
    card: StripeCard | None
    created_at: datetime
    is_default: bool


def grace_until(first_failed_at: datetime, grace_days: int) -> datetime:
    return first_failed_at + timedelta(days=grace_days)


def grants(status: str, *, awaits: bool) -> bool:
    """Whether a subscription gives its plan, as far as time has no say in it."""
    return status in GRANTING and not awaits


def grants_access(held: Held, now: datetime, grace_days: int) -> bool:
    """Rule 9: trialing and active do; past due does to the second that the grace ends.

    A first payment that takes days, as bank debits do, grants nothing before it has come.
    """
    if not grants(held.status, awaits=held.awaits_first_payment):
        return False
    if held.status != "past_due" or held.first_failed_at is None:
        return True
    return now < grace_until(held.first_failed_at, grace_days)


def decide(subscriptions: Iterable[Held], now: datetime, grace_days: int) -> Decision:
    """Of several, the highest plan with access counts; the other live ones are duplicates."""
    held = sorted(subscriptions, key=lambda one: (one.created_at, one.id))
    granting = [one for one in held if grants_access(one, now, grace_days)]
    counts = max(granting, key=lambda one: one.rank, default=None)
    live = [one for one in held if one.status in LIVE]
    shown = counts or max(live, key=lambda one: one.rank, default=None) or _last_worth_showing(held)
    duplicates = frozenset(one.id for one in live if shown is not None and one.id != shown.id)
    return Decision(counts, shown, duplicates)


def payment_state(row: Mirrored, *, is_disputed: bool) -> PaymentState:
    """A missing payment comes before a disputed one: it is what the customer can mend."""
    if row.status == "past_due":
        return PaymentState.PAST_DUE
    # A pause may be what Stripe makes of payments that failed to the end.
    if row.status == "unpaid" or (row.status == "paused" and row.pause_reason in UNPAID_PAUSES):
        return PaymentState.UNPAID
    if row.awaits_first_payment:
        return PaymentState.PROCESSING
    return PaymentState.DISPUTED if is_disputed else PaymentState.OK


def direction(current: Price, wanted: Price) -> Direction:
    """A higher plan is an upgrade, and so is paying a year ahead for the same one."""
    have = (current.rank, current.interval == "year")
    want = (wanted.rank, wanted.interval == "year")
    if have == want:
        return Direction.SAME
    return Direction.UPGRADE if want > have else Direction.DOWNGRADE


def first_failure(
    failures: Iterable[Failure], seen_past_due_at: datetime | None
) -> datetime | None:
    """When the trouble began: the first failed payment, else when it was first noticed.

    A renewal counts before an upgrade: an upgrade that was not paid lapses by itself, and the
    grace of the next renewal must not have begun with it.
    """
    owed = list(failures)
    renewals = [one for one in owed if one.billing_reason != "subscription_update"]
    return min((one.first_failed_at for one in renewals or owed), default=seen_past_due_at)


def _last_worth_showing(held: Sequence[Held]) -> Held | None:
    # One that expired before its first payment was never a subscription to its customer.
    return next((one for one in reversed(held) if one.status != "incomplete_expired"), None)
