"""Money adds up, splits without loss, and rounds once."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.money import USD, Currency, CurrencyMismatch, Money, total_of
from app.kernel.rates import exact, per_million, plain

amounts = st.integers(min_value=-(10**15), max_value=10**15)
weights = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=40)


@given(amounts, weights)
def test_pieces_sum_to_the_whole(minor: int, shares: list[int]) -> None:
    pieces = Money(minor).split(shares)
    assert total_of(pieces) == Money(minor)
    assert len(pieces) == len(shares)


@given(amounts, weights)
def test_no_piece_is_further_than_one_unit_from_its_exact_share(
    minor: int, shares: list[int]
) -> None:
    total = sum(shares)
    for piece, share in zip(Money(minor).split(shares), shares, strict=True):
        ideal = Decimal(minor) * share / total if total else Decimal(minor) / len(shares)
        assert abs(piece.minor - ideal) < 1


def test_the_largest_remainder_wins_and_ties_go_to_the_first() -> None:
    assert [piece.minor for piece in Money(100).split([1, 1, 1])] == [34, 33, 33]
    assert [piece.minor for piece in Money(10).split([5, 4, 1])] == [5, 4, 1]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "usd", 1),
        ("-0.005", "usd", -1),
        ("0.0049999", "usd", 0),
        ("2.5", "jpy", 3),
        ("1.0005", "kwd", 1001),
        ("0.17", "usd", 17),
    ],
)
def test_rounding_is_half_away_from_zero_in_the_currencys_own_digits(
    amount: str, currency: str, minor: int
) -> None:
    assert Money.from_major(Decimal(amount), Currency(currency)).minor == minor


@given(amounts, st.sampled_from(["usd", "jpy", "kwd"]))
def test_major_and_back_is_the_same_amount(minor: int, code: str) -> None:
    money = Money(minor, Currency(code))
    assert Money.from_major(money.major, money.currency) == money


def test_two_currencies_never_add_up() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1, USD) + Money(1, Currency("eur"))


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError):
        Money(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        exact(1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "", "one"])
def test_only_finite_numbers_are_figures(text: str) -> None:
    with pytest.raises(ValueError):
        exact(text)


def test_a_cost_per_million_is_exact() -> None:
    assert plain(per_million(1500, Decimal(3)) + per_million(800, Decimal(15))) == "0.0165"
    assert plain(per_million(1, Decimal("0.15"))) == "0.00000015"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_plain_text_says_the_same_number(number: Decimal) -> None:
    text = plain(number)
    assert Decimal(text) == number
    assert "E" not in text
