"""Who has access, whatever came before (rule 9)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.ids import new_id
from app.subscriptions.domain import (
    GRANTING,
    LIVE,
    MIRRORED_COLUMNS,
    Direction,
    Failure,
    Held,
    Mirrored,
    PaymentState,
    Price,
    decide,
    direction,
    first_failure,
    grants_access,
    payment_state,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
STATUSES = (
    "trialing",
    "active",
    "past_due",
    "incomplete",
    "incomplete_expired",
    "unpaid",
    "paused",
    "canceled",
    "a_status_of_tomorrow",
)
instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@st.composite
def held(draw: st.DrawFn) -> Held:
    status = draw(st.sampled_from(STATUSES))
    failed = draw(st.none() | instants)
    return Held(new_id(), status, draw(st.integers(0, 4)), draw(instants), failed)


@pytest.mark.parametrize("status", STATUSES)
def test_only_three_statuses_grant(status: str) -> None:
    one = Held(new_id(), status, 1, NOW)
    assert grants_access(one, NOW, 10) is (status in {"trialing", "active", "past_due"})


def test_past_due_grants_to_the_second() -> None:
    one = Held(new_id(), "past_due", 1, NOW, first_failed_at=NOW)
    assert grants_access(one, NOW + timedelta(days=10, seconds=-1), 10)
    assert not grants_access(one, NOW + timedelta(days=10), 10)
    assert not grants_access(one, NOW, 0), "no grace is no grace"


def test_an_old_failure_does_not_haunt_who_has_paid() -> None:
    one = Held(new_id(), "active", 1, NOW, first_failed_at=NOW - timedelta(days=300))
    assert grants_access(one, NOW, 10)


@given(st.lists(held(), max_size=6), instants, st.integers(0, 30))
def test_the_highest_plan_with_access_counts(
    all_held: list[Held], now: datetime, days: int
) -> None:
    decision = decide(all_held, now, days)
    granting = [one for one in all_held if grants_access(one, now, days)]
    if decision.counts is None:
        assert granting == []
    else:
        assert decision.counts in granting
        assert decision.counts.rank == max(one.rank for one in granting)
        assert decision.shown == decision.counts


@given(st.lists(held(), max_size=6), instants, st.integers(0, 30))
def test_every_other_live_one_is_a_duplicate(
    all_held: list[Held], now: datetime, days: int
) -> None:
    decision = decide(all_held, now, days)
    live = {one.id for one in all_held if one.status in LIVE}
    assert decision.duplicates <= live
    assert len(live - decision.duplicates) == min(len(live), 1)


@given(st.lists(held(), max_size=6), instants, st.integers(0, 30), st.randoms())
def test_the_order_in_which_they_are_read_does_not_matter(
    all_held: list[Held], now: datetime, days: int, random: st.DataObject
) -> None:
    shuffled = list(all_held)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(shuffled, now, days) == decide(all_held, now, days)


@given(held(), instants, instants, st.integers(0, 30))
def test_grace_only_ever_runs_out(one: Held, a: datetime, b: datetime, days: int) -> None:
    early, late = min(a, b), max(a, b)
    if grants_access(one, late, days):
        assert grants_access(one, early, days)


reasons = st.sampled_from(["subscription_cycle", "subscription_update", None])


@given(st.lists(st.builds(Failure, reasons, instants, st.none()), max_size=5), st.none() | instants)
def test_the_first_failure_is_the_earliest_known_of_a_renewal(
    failures: list[Failure], seen: datetime | None
) -> None:
    found = first_failure(failures, seen)
    renewals = [one for one in failures if one.billing_reason != "subscription_update"]
    if failures:
        assert found == min(one.first_failed_at for one in renewals or failures)
    else:
        assert found == seen


def test_who_never_paid_is_shown_nothing_of_it() -> None:
    expired = Held(new_id(), "incomplete_expired", 1, NOW)
    assert decide([expired], NOW, 10).shown is None
    canceled = Held(new_id(), "canceled", 1, NOW - timedelta(days=1))
    assert decide([canceled, expired], NOW, 10).shown == canceled


def a_row(status: str, **changes: Any) -> Mirrored:
    values: dict[str, Any] = dict.fromkeys(MIRRORED_COLUMNS)
    known = {"id": new_id(), "plan": "starter", "currency": "usd", "interval": "month"}
    flags = {"cancel_at_period_end": False, "awaits_first_payment": False, "created_at": NOW}
    return Mirrored(**{**values, **known, **flags, "status": status, **changes})


@pytest.mark.parametrize(
    ("row", "is_disputed", "expected"),
    [
        (a_row("past_due"), True, PaymentState.PAST_DUE),
        (a_row("unpaid"), True, PaymentState.UNPAID),
        (a_row("paused", pause_reason="final_payment_failure"), False, PaymentState.UNPAID),
        (a_row("paused", pause_reason="pause_requested"), False, PaymentState.OK),
        (a_row("active", awaits_first_payment=True), True, PaymentState.PROCESSING),
        (a_row("active"), True, PaymentState.DISPUTED),
        (a_row("active"), False, PaymentState.OK),
        (a_row("canceled"), False, PaymentState.OK),
        (a_row("a_status_of_tomorrow"), False, PaymentState.OK),
    ],
)
def test_a_missing_payment_has_its_name(
    row: Mirrored, is_disputed: bool, expected: PaymentState
) -> None:
    assert payment_state(row, is_disputed=is_disputed) is expected
    assert GRANTING < LIVE


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        (("starter", "month", 1), ("professional", "month", 2), Direction.UPGRADE),
        (("professional", "month", 2), ("starter", "month", 1), Direction.DOWNGRADE),
        (("starter", "year", 1), ("professional", "month", 2), Direction.UPGRADE),
        (("professional", "month", 2), ("starter", "year", 1), Direction.DOWNGRADE),
        (("starter", "month", 1), ("starter", "year", 1), Direction.UPGRADE),
        (("starter", "year", 1), ("starter", "month", 1), Direction.DOWNGRADE),
        (("starter", "year", 1), ("starter", "year", 1), Direction.SAME),
    ],
)
def test_directions(
    current: tuple[str, str, int], wanted: tuple[str, str, int], expected: Direction
) -> None:
    assert direction(Price(*current), Price(*wanted)) is expected
