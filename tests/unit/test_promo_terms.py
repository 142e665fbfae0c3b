"""When a code holds, what it takes off, and what volume earns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.discounts.domain import PromoCode, Terms, share, volume_standing
from app.kernel.ids import new_id
from app.kernel.money import Currency, Money

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HALF = Terms(percent=Decimal(50))


def a_code(terms: Terms = HALF, *, uses: int = 0, is_active: bool = True) -> PromoCode:
    return PromoCode(new_id(), "WELCOME50", terms, uses, is_active, NOW)


@pytest.mark.parametrize(
    ("terms", "given_", "expected"),
    [
        (HALF, {}, None),
        (replace(HALF, starts_at=NOW), {}, None),
        (replace(HALF, starts_at=NOW + timedelta(seconds=1)), {}, "promo_code_not_yet_valid"),
        (replace(HALF, expires_at=NOW), {}, "promo_code_expired"),
        (replace(HALF, expires_at=NOW + timedelta(seconds=1)), {}, None),
        (replace(HALF, max_uses=3), {"uses": 3}, "promo_code_used_up"),
        (replace(HALF, max_uses=3), {"uses": 2}, None),
        (HALF, {"uses_here": 1}, "promo_code_used_before"),
        (replace(HALF, max_uses_per_org=None), {"uses_here": 7}, None),
        (
            replace(HALF, plans=frozenset({"starter"})),
            {"plan": "enterprise"},
            "promo_code_not_for_plan",
        ),
        (replace(HALF, plans=frozenset({"starter"})), {"plan": "starter"}, None),
        (replace(HALF, minimum=Money(500)), {"amount": Money(499)}, "promo_code_minimum"),
        (replace(HALF, minimum=Money(500)), {"amount": Money(500)}, None),
        (Terms(fixed=Money(5)), {"amount": Money(500, Currency("eur"))}, "promo_code_currency"),
        (HALF, {"is_active": False}, "promo_code_inactive"),
    ],
)
def test_a_code_says_why_it_does_not_hold(
    terms: Terms, given_: dict[str, object], expected: str | None
) -> None:
    told = dict(given_)
    code = a_code(terms, uses=told.pop("uses", 0), is_active=told.pop("is_active", True))  # type: ignore[arg-type]
    refusal = code.refusal(NOW, **{"uses_here": 0, **told})  # type: ignore[arg-type]
    assert (refusal.code if refusal else None) == expected


def test_the_example_of_the_requirements() -> None:
    assert a_code().off(Money(29900)) == Money(14950)


@given(st.decimals("0.01", "100", places=2), st.integers(0, 10**10), st.integers(1, 10**10))
def test_nothing_takes_off_more_than_there_is(percent: Decimal, amount: int, fixed: int) -> None:
    money = Money(amount)
    assert Money(0) <= share(percent, money) <= money
    assert a_code(Terms(fixed=Money(fixed))).off(money) == Money(min(fixed, amount))


@pytest.mark.parametrize(
    ("spent", "percent", "missing"),
    [
        (0, 0, 10_000_00),
        (9_999_99, 0, 1),
        (10_000_00, 5, 40_000_00),
        (50_000_00, 10, 50_000_00),
        (100_000_00, 15, 400_000_00),
        (500_000_00, 20, None),
        (-5, 0, 10_000_05),
    ],
)
def test_volume_earns_by_what_was_paid(spent: int, percent: int, missing: int | None) -> None:
    standing = volume_standing(Money(spent))
    assert (standing.percent, standing.missing) == (Decimal(percent), missing)
