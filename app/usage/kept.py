"""How finely usage is kept as it ages, and how a stretch of time is cut accordingly. Pure.

Hours are kept for `HOURS_KEPT`; the rows of an older day become one row at its midnight. A reader
never asks for hours older than that, whether or not they are folded yet, so it makes no difference
when the job runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.kernel.periods import Period

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

HOURS_KEPT = timedelta(days=90)

_FOLDED_AFTER = HOURS_KEPT + DAY
"""A day later than readers stop to ask: no two processes need to agree on the minute."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def floor(instant: datetime, unit: timedelta) -> datetime:
    return instant - (instant - EARLIEST) % unit


def hours_kept_from(now: datetime) -> datetime:
    """The midnight from which usage can be read by the hour."""
    return floor(now, DAY) - HOURS_KEPT


def folded_before(now: datetime) -> datetime:
    """The midnight before which the job folds hours into days."""
    return floor(now, DAY) - _FOLDED_AFTER


def widened(period: Period, unit: timedelta) -> Period:
    """The period in whole units."""
    start, end = floor(period.start, unit), floor(period.end, unit)
    return Period(start, end if end == period.end else end + unit)


def widened_as_kept(period: Period, now: datetime) -> Period:
    """The period in whole hours, and in whole days where only those are kept."""
    start, end = widened(period, HOUR).start, widened(period, HOUR).end
    kept = hours_kept_from(now)
    if start < kept:
        start = floor(start, DAY)
    if end <= kept:
        end = widened(Period(start, end), DAY).end
    return Period(start, end)


def whole(period: Period, unit: timedelta) -> tuple[Period | None, list[Period]]:
    """The whole units inside *period*, and the stretches at its ends that are not whole."""
    first, last = floor(period.start, unit), floor(period.end, unit)
    if first != period.start:
        first += unit
    if first >= last:
        return None, [period]
    ends = [
        Period(start, end)
        for start, end in ((period.start, first), (last, period.end))
        if start < end
    ]
    return Period(first, last), ends


def whole_as_kept(period: Period, now: datetime) -> tuple[list[Period], list[Period]]:
    """The stretches of *period* that rollups answer, and those that only events can."""
    kept = hours_kept_from(now)
    stretches: list[Period] = []
    ends: list[Period] = []
    for start, end, unit in (
        (period.start, min(period.end, kept), DAY),
        (max(period.start, kept), period.end, HOUR),
    ):
        if start < end:
            inside, left = whole(Period(start, end), unit)
            stretches += [inside] if inside else []
            ends += left
    return stretches, ends
