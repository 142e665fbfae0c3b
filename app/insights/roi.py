"""What debates save against deciding by hand. Pure; every figure in US dollars or hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from app.kernel.periods import plus_months
from app.kernel.rates import EXACT


@dataclass(frozen=True, slots=True)
class Effort:
    """What a decision takes by hand, and what is left to people beside a debate."""

    people: Decimal = Decimal(3)
    hours: Decimal = Decimal(2)
    """Of each of them, for one decision."""
    hourly_cost: Decimal = Decimal(75)
    review_hours: Decimal = Decimal("0.25")
    """Of one person, for one debate."""


@dataclass(frozen=True, slots=True)
class Period:
    """What was done in a stretch of time, and what it cost."""

    debates: int
    hours: Decimal
    """How long the stretch is."""
    usage_cost: Decimal
    subscription_cost: Decimal


@dataclass(frozen=True, slots=True)
class Sides:
    """The same decisions by hand and by debate, and the difference."""

    manual_cost: Decimal
    debate_cost: Decimal
    manual_hours: Decimal
    debate_hours: Decimal

    @property
    def saved_cost(self) -> Decimal:
        return self.manual_cost - self.debate_cost

    @property
    def saved_hours(self) -> Decimal:
        return self.manual_hours - self.debate_hours

    @property
    def roi_percent(self) -> Decimal | None:
        """Saved per dollar spent, in percent; None where nothing was spent."""
        return self.saved_cost / self.debate_cost * 100 if self.debate_cost else None


@dataclass(frozen=True, slots=True)
class Roi:
    """The whole stretch, one debate of it, and when the subscription has paid for itself."""

    total: Sides
    per_debate: Sides | None
    payback_debates: Decimal | None
    """How many debates save what the subscription costs; None where no number does."""
    payback_days: Decimal | None
    """How long that many take at the pace of the stretch."""


def months(start: datetime, end: datetime) -> Decimal:
    """How many months `[start, end)` is: whole ones as the calendar has them, so that a plan's
    window is exactly one, and of the last one the part by its seconds."""
    whole = (end.year - start.year) * 12 + end.month - start.month
    # A window of somebody who began on the 31st starts on the 28th of February.
    if plus_months(end, -whole) == start:
        return Decimal(whole)
    if plus_months(start, whole) > end:
        whole -= 1
    last = plus_months(start, whole), plus_months(start, whole + 1)
    return whole + EXACT.divide(_seconds(last[0], end), _seconds(*last))


def _seconds(start: datetime, end: datetime) -> Decimal:
    return Decimal(str((end - start).total_seconds()))


def roi(effort: Effort, period: Period) -> Roi:
    """Compare *period* with deciding as often by hand.

    By hand a decision costs people x hours x hourly cost. A debate costs its usage, its share of
    the subscription, and its review at the same hourly cost. Payback leaves the subscription out
    of a debate's cost, because it is what is to be paid back.
    """
    with localcontext(EXACT):
        count = Decimal(period.debates)
        manual_hours = effort.people * effort.hours
        total = Sides(
            manual_cost=count * manual_hours * effort.hourly_cost,
            debate_cost=period.usage_cost
            + period.subscription_cost
            + count * effort.review_hours * effort.hourly_cost,
            manual_hours=count * manual_hours,
            debate_hours=count * effort.review_hours,
        )
        if not period.debates:
            return Roi(total, None, None, None)
        each = Sides(
            total.manual_cost / count,
            total.debate_cost / count,
            manual_hours,
            effort.review_hours,
        )
        gain = (total.saved_cost + period.subscription_cost) / count
        if gain <= 0:
            return Roi(total, each, None, None)
        needed = period.subscription_cost / gain
        pace = count / period.hours
        return Roi(total, each, needed, needed / pace / 24)
