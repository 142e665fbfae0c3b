"""Months are anchored to the day they began on, and periods never overlap or leave a gap."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.periods import Period, anchored_period, calendar_month, plus_months

instants = st.datetimes(
    min_value=datetime(2001, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC)
)


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        (1, (2027, 2, 28)),
        (2, (2027, 3, 31)),
        (3, (2027, 4, 30)),
        (13, (2028, 2, 29)),
        (-1, (2026, 12, 31)),
    ],
)
def test_the_thirty_first_comes_back_after_a_short_month(
    months: int, expected: tuple[int, int, int]
) -> None:
    moved = plus_months(datetime(2027, 1, 31, 8, 30, tzinfo=UTC), months)
    assert (moved.year, moved.month, moved.day) == expected
    assert (moved.hour, moved.minute) == (8, 30)


@given(instants, instants, st.sampled_from([1, 3, 12]))
def test_every_instant_lies_in_exactly_one_anchored_period(
    anchor: datetime, at: datetime, months: int
) -> None:
    period = anchored_period(anchor, at, months=months)
    assert at in period
    before = anchored_period(anchor, period.start - timedelta(microseconds=1), months=months)
    after = anchored_period(anchor, period.end, months=months)
    assert before.end == period.start
    assert after.start == period.end


def test_a_period_contains_its_start_and_not_its_end() -> None:
    month = calendar_month(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert month.start == datetime(2026, 12, 1, tzinfo=UTC)
    assert month.end == datetime(2027, 1, 1, tzinfo=UTC)
    assert month.start in month
    assert month.end not in month
    assert month.seconds == 31 * 24 * 3600


def test_a_period_needs_aware_instants_in_order() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError):
        Period(start, start)
    with pytest.raises(ValueError):
        Period(datetime(2026, 1, 1), start)
