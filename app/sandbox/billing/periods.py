"""Billing periods: whole intervals counted from an anchor, in UTC."""

import calendar
from datetime import UTC, datetime

_SECONDS = {"day": 86_400, "week": 7 * 86_400}


def after(anchor: int, interval: str, count: int) -> int:
    """The instant *count* intervals from *anchor*; the 31st becomes a month's last day.

    Always counted from the anchor and never from the last period, or 31 January would
    stay at the 28th for ever after its first February.
    """
    if interval in _SECONDS:
        return anchor + _SECONDS[interval] * count
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def containing(anchor: int, interval: str, count: int, instant: int) -> tuple[int, int]:
    """The period `[start, end)` that holds an instant."""
    if interval in _SECONDS:
        n = (instant - anchor) // (_SECONDS[interval] * count)
    else:
        a, b = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(instant, UTC)
        months = (b.year - a.year) * 12 + b.month - a.month
        n = months // (count * (12 if interval == "year" else 1))
    while after(anchor, interval, n * count) > instant:
        n -= 1
    while after(anchor, interval, (n + 1) * count) <= instant:
        n += 1
    return after(anchor, interval, n * count), after(anchor, interval, (n + 1) * count)


def of_price(price: dict[str, dict[str, object]], anchor: int, instant: int) -> tuple[int, int]:
    """The period of a recurring price that holds an instant."""
    recurring = price["recurring"]
    return containing(
        anchor, str(recurring["interval"]), int(str(recurring["interval_count"])), instant
    )
