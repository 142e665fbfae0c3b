"""What debates save, worked out by hand once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.insights.roi import Effort, Period, months, roi

HOURS_A_MONTH = Decimal("730.485")


def test_a_month_worked_out_by_hand() -> None:
    found = roi(Effort(), Period(100, HOURS_A_MONTH, Decimal(50), Decimal(299)))
    # By hand 100 x 3 people x 2 h x 75; by debate 50 + 299 + 100 x 0.25 h x 75.
    assert (found.total.manual_cost, found.total.debate_cost) == (Decimal(45_000), Decimal(2_224))
    assert (found.total.saved_cost, found.total.saved_hours) == (Decimal(42_776), Decimal(575))
    assert found.total.roi_percent is not None
    assert round(found.total.roi_percent, 4) == Decimal("1923.3813")
    assert found.per_debate is not None
    assert found.per_debate.saved_cost == Decimal("427.76")
    # A debate saves 450 - 0.50 - 18.75 before the subscription: 299 / 430.75.
    assert found.payback_debates is not None
    assert round(found.payback_debates, 6) == Decimal("0.694138")
    assert found.payback_days is not None
    assert round(found.payback_days, 4) == Decimal("0.2113")


def test_nothing_done_and_nothing_gained() -> None:
    idle = roi(Effort(), Period(0, HOURS_A_MONTH, Decimal(0), Decimal(0)))
    assert (idle.per_debate, idle.payback_debates, idle.total.roi_percent) == (None, None, None)
    dear = roi(Effort(hourly_cost=Decimal(0)), Period(1, HOURS_A_MONTH, Decimal(5), Decimal(9)))
    assert dear.payback_debates is None
    assert dear.total.saved_cost == -14


@pytest.mark.parametrize(
    ("start", "end", "length"),
    [
        ("2026-11-21T09:00", "2026-12-21T09:00", "1"),
        ("2026-02-01T00:00", "2026-03-01T00:00", "1"),
        # Whoever began on the 31st has months that begin on the last day of a shorter one.
        ("2026-01-31T00:00", "2026-02-28T00:00", "1"),
        ("2026-02-28T00:00", "2026-03-31T00:00", "1"),
        ("2026-02-28T00:00", "2026-04-30T00:00", "2"),
        ("2026-11-21T09:00", "2027-11-21T09:00", "12"),
        ("2026-11-01T00:00", "2026-11-16T00:00", "0.5"),
        ("2026-11-01T00:00", "2026-12-01T00:00", "1"),
        ("2026-11-16T00:00", "2027-01-01T00:00", f"{1 + Decimal(16) / 31}"),
    ],
)
def test_a_window_is_exactly_a_month(start: str, end: str, length: str) -> None:
    found = months(*(datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (start, end)))
    assert round(found, 20) == round(Decimal(length), 20)
