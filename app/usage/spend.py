"""Limits on spending: whose, how much, in which period, and who may pass. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.kernel.periods import plus_months

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


CREDIT = "credit"
"""The scope of what a plan draws on prepaid credit: no budget has it; the ledger keeps it."""


class SpendScope(StrEnum):
    """Whose spending a limit counts."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    USER = "user"
    API_KEY = "api_key"
    DEBATE = "debate"
    MODEL = "model"


class SpendPeriod(StrEnum):
    """When a limit begins anew: calendar periods in UTC, weeks on Monday, `total` never."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    TOTAL = "total"

    def start(self, at: datetime) -> datetime:
        """The beginning of the period that contains *at*."""
        day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case SpendPeriod.DAILY:
                return day
            case SpendPeriod.WEEKLY:
                return day - timedelta(days=day.weekday())
            case SpendPeriod.MONTHLY:
                return day.replace(day=1)
            case SpendPeriod.QUARTERLY:
                return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
            case SpendPeriod.YEARLY:
                return day.replace(month=1, day=1)
            case SpendPeriod.TOTAL:
                return EPOCH

    def end(self, start: datetime) -> datetime | None:
        """When the period that began at *start* is over; None for `total`."""
        match self:
            case SpendPeriod.DAILY:
                return start + timedelta(days=1)
            case SpendPeriod.WEEKLY:
                return start + timedelta(days=7)
            case SpendPeriod.MONTHLY:
                return plus_months(start, 1)
            case SpendPeriod.QUARTERLY:
                return plus_months(start, 3)
            case SpendPeriod.YEARLY:
                return plus_months(start, 12)
            case SpendPeriod.TOTAL:
                return None


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on spending. Its id is the budget's; *thresholds* are fractions of the amount."""

    id: UUID
    scope: SpendScope
    subject: str
    period: SpendPeriod
    amount_usd: Decimal
    soft_usd: Decimal | None
    hard_usd: Decimal | None
    thresholds: tuple[Decimal, ...]
    auto_suspend: bool


@dataclass(frozen=True, slots=True)
class Override:
    """Until an instant, a limit does not refuse *user_id*, or anybody where it is None."""

    id: UUID
    limit_id: UUID
    user_id: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class SpendStanding:
    """A limit, and what its running period has seen."""

    limit: Limit
    period_start: datetime
    period_end: datetime | None
    posted: Decimal
    held: Decimal
    announced: Decimal
    suspended_at: datetime | None
    suspended_until: datetime | None

    @property
    def spent(self) -> Decimal:
        """What counts against the amount: what was spent and what is held for spending."""
        return self.posted + self.held

    @property
    def remaining(self) -> Decimal:
        return max(self.limit.amount_usd - self.spent, Decimal(0))

    def is_suspended(self, now: datetime) -> bool:
        """Suspended by hand until resumed, or by itself until the next period."""
        return self.suspended_at is not None and (
            self.suspended_until is None or self.suspended_until > now
        )

    def news(self) -> list[Decimal]:
        """Thresholds that are reached and were not announced, lowest first."""
        return sorted(
            fraction
            for fraction in self.limit.thresholds
            if fraction > self.announced and 0 < self.spent >= fraction * self.limit.amount_usd
        )

    def refusal_of(
        self, cost: Decimal, now: datetime, *, may_exceed: bool, is_lifted: bool
    ) -> Refusal | None:
        """Why *cost* more is refused, as the writing statement decides it; None when it is not."""
        if is_lifted:
            return None
        if self.is_suspended(now):
            return Refusal.SUSPENDED
        for bound, refusal in (
            (self.limit.hard_usd, Refusal.HARD_LIMIT),
            (None if may_exceed else self.limit.soft_usd, Refusal.SOFT_LIMIT),
        ):
            if bound is not None and self.spent + cost > bound:
                return refusal
        return None


class Refusal(StrEnum):
    """Why a limit says no."""

    HARD_LIMIT = "hard_limit"
    SOFT_LIMIT = "soft_limit"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class SpendLabels:
    """What an event or a call says of itself, by which limits find it."""

    workspace: str | None = None
    user_id: str | None = None
    api_key_id: UUID | None = None
    debate_id: str | None = None
    provider: str | None = None
    model: str | None = None

    def subjects(self) -> Iterator[tuple[SpendScope, str]]:
        """Every scope and subject that this counts towards."""
        yield SpendScope.ORGANIZATION, ""
        key = None if self.api_key_id is None else str(self.api_key_id)
        named: Mapping[SpendScope, str | None] = {
            SpendScope.WORKSPACE: self.workspace,
            SpendScope.USER: self.user_id,
            SpendScope.API_KEY: key,
            SpendScope.DEBATE: self.debate_id,
            SpendScope.MODEL: self.model,
        }
        for scope, subject in named.items():
            if subject is not None:
                yield scope, subject
        if self.provider is not None and self.model is not None:
            yield SpendScope.MODEL, f"{self.provider}/{self.model}"
