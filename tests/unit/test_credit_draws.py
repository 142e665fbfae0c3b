"""In which order credit is spent, and that no more is spent than there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.credits.domain import Grant, GrantType, draw, in_order_of_use
from app.kernel.ids import new_id
from app.kernel.money import USD

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def a_grant(
    remaining: int = 100,
    *,
    days: int | None = None,
    kind: GrantType = GrantType.PROMOTIONAL,
    age: int = 0,
) -> Grant:
    return Grant(
        id=new_id(),
        type=kind,
        currency=USD,
        amount=max(remaining, 1),
        remaining=remaining,
        expires_at=None if days is None else NOW + timedelta(days=days),
        granted_at=NOW - timedelta(days=age),
    )


def test_soonest_to_expire_first_then_given_before_bought_then_oldest() -> None:
    bought_old = a_grant(kind=GrantType.PURCHASED, age=9)
    given_new = a_grant(age=1)
    given_old = a_grant(age=5)
    soon = a_grant(days=2, kind=GrantType.PURCHASED)
    later_given = a_grant(days=9)
    later_bought = a_grant(days=9, kind=GrantType.PURCHASED, age=30)
    order = in_order_of_use([bought_old, given_new, later_bought, given_old, later_given, soon])
    assert order == [soon, later_given, later_bought, given_old, given_new, bought_old]


def test_a_debit_names_each_grant_it_drew_on() -> None:
    first, second = a_grant(30, days=1), a_grant(100)
    assert [(d.grant_id, d.amount) for d in draw(50, [second, first], NOW)] == [
        (first.id, 30),
        (second.id, 20),
    ]


def test_lapsed_and_empty_grants_give_nothing() -> None:
    assert draw(50, [a_grant(40, days=0), a_grant(0)], NOW) == ()
    with pytest.raises(ValueError, match="not negative"):
        draw(-1, [], NOW)


@given(
    amount=st.integers(0, 1000),
    grants=st.lists(
        st.builds(
            a_grant,
            st.integers(0, 300),
            days=st.none() | st.integers(-5, 5),
            kind=st.sampled_from(GrantType),
            age=st.integers(0, 50),
        ),
        max_size=8,
    ),
)
def test_what_is_drawn_is_what_is_asked_or_all_there_is(amount: int, grants: list[Grant]) -> None:
    draws = draw(amount, grants, NOW)
    left = {grant.id: grant for grant in grants}
    there = sum(grant.remaining for grant in grants if grant.is_spendable(NOW))
    assert sum(one.amount for one in draws) == min(amount, there)
    assert all(0 < one.amount <= left[one.grant_id].remaining for one in draws)
    # Only the last grant may be left with something.
    assert all(one.amount == left[one.grant_id].remaining for one in draws[:-1])
