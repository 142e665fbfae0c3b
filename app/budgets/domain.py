"""What a budget is, and which limit on spending holds it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from app.usage.spend import Limit, SpendPeriod, SpendScope, SpendStanding

MAX_FOR_ONE_SUBJECT = 20
"""Every event moves each budget that it meets, so nobody may pile up hundreds on one subject."""


class ThresholdAction(StrEnum):
    """What reaching a threshold does beside raising an alert.

    `soft_limit` refuses callers without the permission `budgets.exceed` from there on,
    `hard_limit` everybody without an override.
    """

    NOTIFY = "notify"
    WARN = "warn"
    SOFT_LIMIT = "soft_limit"
    HARD_LIMIT = "hard_limit"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A fraction of the amount, and what reaching it does."""

    fraction: Decimal
    action: ThresholdAction


DEFAULT_THRESHOLDS = (
    Threshold(Decimal("0.5"), ThresholdAction.NOTIFY),
    Threshold(Decimal("0.75"), ThresholdAction.WARN),
    Threshold(Decimal("0.9"), ThresholdAction.SOFT_LIMIT),
    Threshold(Decimal(1), ThresholdAction.HARD_LIMIT),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What may change about a budget."""

    name: str
    amount_usd: Decimal
    thresholds: tuple[Threshold, ...]
    auto_suspend: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """What a budget is about; this never changes. `name` is empty for the whole organization."""

    scope: SpendScope
    name: str
    period: SpendPeriod


def limit_of(budget_id: UUID, subject: Subject, terms: Terms) -> Limit:
    """The limit that holds a budget."""
    fractions = {threshold.fraction for threshold in terms.thresholds}
    if terms.auto_suspend:
        # Whoever is stopped at 100 % is told so.
        fractions.add(Decimal(1))
    return Limit(
        id=budget_id,
        scope=subject.scope,
        subject=subject.name,
        period=subject.period,
        amount_usd=terms.amount_usd,
        soft_usd=_bound(terms, ThresholdAction.SOFT_LIMIT),
        hard_usd=_bound(terms, ThresholdAction.HARD_LIMIT),
        thresholds=tuple(sorted(fractions)),
        auto_suspend=terms.auto_suspend,
    )


def _bound(terms: Terms, action: ThresholdAction) -> Decimal | None:
    fractions = [each.fraction for each in terms.thresholds if each.action is action]
    return terms.amount_usd * min(fractions) if fractions else None


def action_at(thresholds: Sequence[Threshold], fraction: Decimal) -> ThresholdAction:
    """What reaching *fraction* does; where the budget says nothing, people are told."""
    found = {threshold.fraction: threshold.action for threshold in thresholds}
    return found.get(fraction, ThresholdAction.NOTIFY)


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget, and where it stands in its running period."""

    id: UUID
    subject: Subject
    terms: Terms
    standing: SpendStanding
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """Someone let someone, or everybody, pass a budget for a while."""

    id: UUID
    budget_id: UUID
    user_id: str | None
    until: datetime
    reason: str
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget's spending reached a threshold in a period."""

    id: UUID
    budget_id: UUID
    budget_name: str
    period_start: datetime
    fraction: Decimal
    action: ThresholdAction
    amount_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    is_suspended: bool
    raised_at: datetime
