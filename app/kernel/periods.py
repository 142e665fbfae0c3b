"""Half-open stretches of time and months that are anchored, never chained (rule 2)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """`[start, end)`, both aware UTC instants."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a period lies between aware instants")
        if self.end <= self.start:
            raise ValueError("a period ends after it starts")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())


def plus_months(anchor: datetime, months: int) -> datetime:
    """*anchor* moved by whole months, kept on its day where that day exists.

    31 January plus one is 28 or 29 February, plus two is 31 March: always counted from the
    anchor, so a short month does not pull later ones to its own day.
    """
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    day = min(anchor.day, monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def anchored_period(anchor: datetime, at: datetime, *, months: int = 1) -> Period:
    """The period of *months* months, counted from *anchor*, that contains *at*."""
    if months < 1:
        raise ValueError("a period lasts at least a month")
    index = ((at.year - anchor.year) * 12 + at.month - anchor.month) // months
    while plus_months(anchor, index * months) > at:
        index -= 1
    while plus_months(anchor, (index + 1) * months) <= at:
        index += 1
    return Period(plus_months(anchor, index * months), plus_months(anchor, (index + 1) * months))


def calendar_month(at: datetime) -> Period:
    """The UTC calendar month that contains *at*."""
    instant = at.astimezone(UTC)
    start = datetime(instant.year, instant.month, 1, tzinfo=UTC)
    return Period(start, plus_months(start, 1))
