"""What is told together, as of when, and until when it can be told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.kernel.ids import OrganizationId
from app.kernel.periods import Period

FEED = "stripe"
"""The feed of notes that this feature reads."""

OLDEST = timedelta(days=35)
"""Stripe takes no older use."""
_MARGIN = timedelta(minutes=10)
DRAFT_STAYS_OPEN = timedelta(minutes=50)
"""An invoice is a draft for an hour after its period; use of that period still counts then."""
IDENTIFIER_HOLDS = timedelta(hours=23)
"""Stripe knows an identifier again for a day at least."""


class BatchState(StrEnum):
    """Where a batch stands."""

    PENDING = "pending"
    """To be told, or told without an answer so far."""
    SENT = "sent"
    """Stripe has taken it."""
    REJECTED = "rejected"
    """Stripe took it and found afterwards that it cannot count; another batch stands for it."""
    REFUSED = "refused"
    """Stripe would not take it. An operator looks, and queues it again."""
    TOO_OLD = "too_old"
    """Stripe takes no use this old. It is to be billed by hand."""
    UNCERTAIN = "uncertain"
    """Perhaps counted: the answer was lost, and Stripe may not know the identifier any more."""


TO_LOOK_AT = frozenset({BatchState.REFUSED, BatchState.TOO_OLD, BatchState.UNCERTAIN})
"""States that only an operator ends."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """From when until when an organization's use is billed by Stripe, to whom, by which prices."""

    organization_id: OrganizationId
    stripe_customer_id: str
    prices: Mapping[str, str]
    """Stripe's price by metric."""
    since: datetime
    until: datetime | None

    def covers(self, occurred_at: datetime) -> bool:
        return self.since <= occurred_at and (self.until is None or occurred_at < self.until)


@dataclass(frozen=True, slots=True)
class Used:
    """What of an event is counted."""

    organization_id: OrganizationId
    event_id: UUID
    occurred_at: datetime
    window_start: datetime
    counted: Mapping[str, object]

    def of(self, metric: str) -> Decimal:
        """Its part of a metric that is a sum; others cannot be added to anything."""
        value = self.counted.get(metric)
        return Decimal(value) if isinstance(value, str) else Decimal(0)


@dataclass(slots=True)
class Portion:
    """Events of one organization that are told together: of one hour and one quota window.

    Of one hour, so that one instant can stand for all of them; of one window, so that it lies in
    the period that they are billed in.
    """

    enrolment: Enrolment
    hour: datetime
    event_ids: list[UUID] = field(default_factory=list)
    latest_at: datetime | None = None
    quantities: dict[str, Decimal] = field(default_factory=dict)

    def add(self, used: Used) -> None:
        self.event_ids.append(used.event_id)
        self.latest_at = max(self.latest_at or used.occurred_at, used.occurred_at)
        for metric in self.enrolment.prices:
            if quantity := used.of(metric):
                self.quantities[metric] = self.quantities.get(metric, Decimal(0)) + quantity


@dataclass(frozen=True, slots=True)
class Batch:
    """A quantity of a metric as Stripe is, or was, told of it. Its id is the identifier."""

    id: UUID
    organization_id: OrganizationId
    metric: str
    stripe_price_id: str
    stripe_customer_id: str
    quantity: Decimal
    occurred_at: datetime
    told_as: datetime | None
    state: str
    attempts: int
    first_attempt_at: datetime | None
    sent_at: datetime | None
    failure: str | None
    is_correction: bool

    @property
    def identifier(self) -> str:
        return f"usage:{self.id}"


@dataclass(frozen=True, slots=True)
class MeteredUse:
    """A metric in the current period: what was used, what Stripe was told, what it has counted."""

    metric: str
    stripe_price_id: str
    total_usage: Decimal
    reported: Decimal
    waiting: Decimal
    unreportable: Decimal
    stripe_usage: Decimal | None
    """None while Stripe cannot be asked."""

    @property
    def pending(self) -> Decimal | None:
        """Ours less Stripe's: what it has yet to count."""
        return None if self.stripe_usage is None else self.total_usage - self.stripe_usage


@dataclass(frozen=True, slots=True)
class MeteredSummary:
    """What an organization has used of everything that Stripe bills by use."""

    period: Period | None
    metered_since: datetime | None
    uses: tuple[MeteredUse, ...]
    as_of: datetime


def hour_of(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def portions(used: Iterable[Used], enrolments: Mapping[UUID, list[Enrolment]]) -> list[Portion]:
    """Events put together. What no enrolment covers is billed by nobody and left out."""
    found: dict[tuple[object, ...], Portion] = {}
    for one in used:
        enrolment = next(
            (
                each
                for each in enrolments.get(one.organization_id, ())
                if each.covers(one.occurred_at)
            ),
            None,
        )
        if enrolment is None:
            continue
        hour = hour_of(one.occurred_at)
        key = (one.organization_id, enrolment.since, one.window_start, hour)
        if key not in found:
            found[key] = Portion(enrolment, hour)
        found[key].add(one)
    return [portion for portion in found.values() if portion.quantities]


def told_as(occurred_at: datetime, period: Period | None, now: datetime) -> datetime:
    """As of when Stripe is told of use.

    Use of a period whose invoice is final goes on the next one (rule 2): it is told as of the
    beginning of the period that is open now.
    """
    if period is None or occurred_at >= period.start or now < period.start + DRAFT_STAYS_OPEN:
        return occurred_at
    return period.start


def is_too_old(occurred_at: datetime, now: datetime) -> bool:
    return occurred_at < now - OLDEST + _MARGIN


def identifier_may_be_forgotten(first_attempt_at: datetime | None, now: datetime) -> bool:
    return first_attempt_at is not None and first_attempt_at < now - IDENTIFIER_HOLDS
