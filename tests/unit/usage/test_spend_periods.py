"""When limits on spending begin anew."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.ids import new_id
from app.usage.spend import Limit, Refusal, SpendLabels, SpendPeriod, SpendScope, SpendStanding

instants = st.datetimes(
    min_value=datetime(2001, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC)
)
PERIODS = [period for period in SpendPeriod if period is not SpendPeriod.TOTAL]


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("daily", "2026-11-21T09:00", "2026-11-21", "2026-11-22"),
        ("daily", "2024-02-29T23:59:59.999999", "2024-02-29", "2024-03-01"),
        # 21 November 2026 is a Saturday; weeks begin on Monday.
        ("weekly", "2026-11-21T09:00", "2026-11-16", "2026-11-23"),
        ("weekly", "2026-11-22T23:59:59", "2026-11-16", "2026-11-23"),
        ("weekly", "2026-11-23T00:00", "2026-11-23", "2026-11-30"),
        # The first ISO week of 2027 begins on 4 January; the days before belong to 2026's 53rd.
        ("weekly", "2027-01-01T00:00", "2026-12-28", "2027-01-04"),
        ("monthly", "2026-11-30T23:59:59", "2026-11-01", "2026-12-01"),
        ("monthly", "2028-02-29T12:00", "2028-02-01", "2028-03-01"),
        ("quarterly", "2026-01-01T00:00", "2026-01-01", "2026-04-01"),
        ("quarterly", "2026-05-31T12:00", "2026-04-01", "2026-07-01"),
        ("quarterly", "2026-09-30T23:59", "2026-07-01", "2026-10-01"),
        ("quarterly", "2026-12-31T23:59", "2026-10-01", "2027-01-01"),
        ("yearly", "2026-12-31T23:59:59", "2026-01-01", "2027-01-01"),
    ],
)
def test_a_period_begins_and_ends(period: str, at: str, start: str, end: str) -> None:
    kind = SpendPeriod(period)
    begun = kind.start(datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert begun == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert kind.end(begun) == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_total_never_begins_anew() -> None:
    assert SpendPeriod.TOTAL.start(datetime(2026, 11, 21, tzinfo=UTC)) == datetime(
        1970, 1, 1, tzinfo=UTC
    )
    assert SpendPeriod.TOTAL.end(datetime(1970, 1, 1, tzinfo=UTC)) is None


def test_days_are_counted_in_utc() -> None:
    kiritimati = timezone(timedelta(hours=14))
    at = datetime(2026, 12, 1, 9, tzinfo=kiritimati)
    assert SpendPeriod.MONTHLY.start(at) == datetime(2026, 11, 1, tzinfo=UTC)


@given(at=instants, period=st.sampled_from(PERIODS))
def test_periods_leave_no_gap_and_do_not_overlap(at: datetime, period: SpendPeriod) -> None:
    start = period.start(at)
    end = period.end(start)
    assert end is not None
    assert start <= at < end
    assert period.start(start) == start
    assert period.start(end) == end
    assert period.start(end - timedelta(microseconds=1)) == start


def standing(**changes: object) -> SpendStanding:
    limit = Limit(
        id=new_id(),
        scope=SpendScope.ORGANIZATION,
        subject="",
        period=SpendPeriod.MONTHLY,
        amount_usd=Decimal(10),
        soft_usd=Decimal(9),
        hard_usd=Decimal(10),
        thresholds=(Decimal("0.5"), Decimal("0.9"), Decimal(1)),
        auto_suspend=False,
    )
    values: dict[str, object] = {
        "limit": limit,
        "period_start": datetime(2026, 11, 1, tzinfo=UTC),
        "period_end": datetime(2026, 12, 1, tzinfo=UTC),
        "posted": Decimal(6),
        "held": Decimal("2.5"),
        "announced": Decimal(0),
        "suspended_at": None,
        "suspended_until": None,
        **changes,
    }
    return SpendStanding(**values)  # type: ignore[arg-type]


NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cost", "may_exceed", "is_lifted", "expected"),
    [
        ("0.5", False, False, None),
        ("0.500000000000000001", False, False, Refusal.SOFT_LIMIT),
        ("0.6", True, False, None),
        ("1.5", True, False, None),
        ("1.500000000000000001", True, False, Refusal.HARD_LIMIT),
        ("100", False, True, None),
    ],
)
def test_a_limit_refuses_what_would_pass_it(
    cost: str, may_exceed: bool, is_lifted: bool, expected: Refusal | None
) -> None:
    refusal = standing().refusal_of(Decimal(cost), NOW, may_exceed=may_exceed, is_lifted=is_lifted)
    assert refusal is expected


def test_a_suspension_ends_when_it_says_so() -> None:
    at = {"suspended_at": NOW, "suspended_until": NOW + timedelta(hours=1)}
    assert standing(**at).is_suspended(NOW)
    assert not standing(**at).is_suspended(NOW + timedelta(hours=1))
    assert standing(suspended_at=NOW).is_suspended(NOW + timedelta(days=400))


@pytest.mark.parametrize(
    ("posted", "held", "announced", "expected"),
    [
        ("4.99", "0", "0", []),
        ("4.99", "0.01", "0", ["0.5"]),
        ("9", "0", "0", ["0.5", "0.9"]),
        ("9", "0", "0.5", ["0.9"]),
        ("2", "0", "0.9", []),
        ("12", "0", "0.9", ["1"]),
    ],
)
def test_news_are_what_was_reached_and_not_announced(
    posted: str, held: str, announced: str, expected: list[str]
) -> None:
    found = standing(
        posted=Decimal(posted), held=Decimal(held), announced=Decimal(announced)
    ).news()
    assert found == [Decimal(each) for each in expected]


def test_labels_name_every_subject_they_count_towards() -> None:
    key = new_id()
    labels = SpendLabels("red", "u", key, "d", "openai", "gpt-4o")
    assert set(labels.subjects()) == {
        (SpendScope.ORGANIZATION, ""),
        (SpendScope.WORKSPACE, "red"),
        (SpendScope.USER, "u"),
        (SpendScope.API_KEY, str(key)),
        (SpendScope.DEBATE, "d"),
        (SpendScope.MODEL, "gpt-4o"),
        (SpendScope.MODEL, "openai/gpt-4o"),
    }
    assert list(SpendLabels().subjects()) == [(SpendScope.ORGANIZATION, "")]
