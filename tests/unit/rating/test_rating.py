"""Tiers at their edges, packages over the window, bounds, and cuts that change nothing."""

from __future__ import annotations

from decimal import Decimal, Inexact
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.domain import (
    DimensionPrice,
    FlatPrice,
    GraduatedPrice,
    PackagePrice,
    PercentagePrice,
    PerUnitPrice,
    Tier,
    UsagePrice,
    VolumePrice,
)
from app.kernel.money import USD, Currency, Money
from app.rating.domain import (
    ANY,
    Terms,
    Usage,
    charge,
    charge_dimensions,
    marginal,
    rate,
    true_up,
)


def dec(value: str | int) -> Decimal:
    return Decimal(value)


TIERS = (
    Tier(dec(10), dec("0.10"), dec(1)),
    Tier(dec(20), dec("0.05"), dec(2)),
    Tier(None, dec("0.01"), dec(3)),
)


@pytest.mark.parametrize(
    ("price", "quantity", "amount"),
    [
        (FlatPrice(dec("4.20")), "0", "4.20"),
        (PerUnitPrice(dec("0.002")), "85", "0.17"),
        (GraduatedPrice(TIERS, flat_at_zero=False), "0", "0"),
        (GraduatedPrice(TIERS, flat_at_zero=True), "0", "1"),
        (GraduatedPrice(TIERS, flat_at_zero=False), "10", "2"),
        (GraduatedPrice(TIERS, flat_at_zero=False), "10.000000000001", "4.00000000000005"),
        (GraduatedPrice(TIERS, flat_at_zero=False), "20", "4.5"),
        (GraduatedPrice(TIERS, flat_at_zero=False), "21", "7.51"),
        (VolumePrice(TIERS, flat_at_zero=False), "10", "2"),
        (VolumePrice(TIERS, flat_at_zero=False), "11", "2.55"),
        (VolumePrice(TIERS, flat_at_zero=False), "21", "3.21"),
        (PackagePrice(dec(2), dec(1000), dec(0)), "0", "0"),
        (PackagePrice(dec(2), dec(1000), dec(0)), "1", "2"),
        (PackagePrice(dec(2), dec(1000), dec(0)), "1000", "2"),
        (PackagePrice(dec(2), dec(1000), dec(0)), "1000.5", "4"),
        (PackagePrice(dec(2), dec(1000), dec(500)), "1500", "2"),
    ],
)
def test_a_price_at_its_edges(price: UsagePrice, quantity: str, amount: str) -> None:
    assert rate(price, Usage(dec(quantity))).amount == dec(amount)


def test_what_a_plan_includes_is_free_and_the_rest_is_rated_from_nothing() -> None:
    terms = Terms(PerUnitPrice(dec("0.002")), included=dec(500))
    assert charge(terms, Usage(dec(500))).amount == 0
    assert charge(terms, Usage(dec(585))).amount == dec("0.17")
    tiered = Terms(GraduatedPrice(TIERS, flat_at_zero=False), included=dec(5))
    assert charge(tiered, Usage(dec(15))).amount == 2  # ten billable units: all of the first tier


@pytest.mark.parametrize(
    ("quantity", "amount"), [("0", "5"), ("40", "5"), ("70", "7"), ("90", "8"), ("100", "8")]
)
def test_a_spend_has_a_floor_and_a_ceiling(quantity: str, amount: str) -> None:
    terms = Terms(PerUnitPrice(dec("0.1")), minimum=dec(5), maximum=dec(8))
    rated = charge(terms, Usage(dec(quantity)))
    assert rated.amount == dec(amount)
    assert sum(step.amount for step in rated.steps) == dec(amount)


def test_a_commitment_is_topped_up_and_no_more() -> None:
    assert true_up(dec(100), [dec("99.99")], USD) == dec("0.01")
    assert true_up(dec(100), [dec("99.995")], USD) == 0, "as its line is rounded"
    assert true_up(dec(100), [dec(60), dec(40)], USD) == 0
    assert true_up(dec(100), [dec(250)], USD) == 0


def test_a_dimension_takes_the_closest_price() -> None:
    def per_unit(amount: str) -> UsagePrice:
        return PerUnitPrice(dec(amount))

    prices = [
        DimensionPrice(ANY, "output", per_unit("4")),
        DimensionPrice("sonnet", ANY, per_unit("3")),
        DimensionPrice("sonnet", "output", per_unit("2")),
        DimensionPrice("anthropic/sonnet", ANY, per_unit("1")),
    ]
    used = {
        ("anthropic", "sonnet", "output"): Usage(dec(1)),
        ("other", "sonnet", "output"): Usage(dec(1)),
        ("other", "sonnet", "input"): Usage(dec(1)),
        ("other", "opus", "output"): Usage(dec(1)),
        ("other", "opus", "input"): Usage(dec(1)),
    }
    rated = charge_dimensions(Terms(per_unit("5")), prices, used, USD)
    assert {key: each.amount for key, each in rated.items()} == {
        ("anthropic", "sonnet", "output"): 1,
        ("other", "sonnet", "output"): 2,
        ("other", "sonnet", "input"): 3,
        ("other", "opus", "output"): 4,
        ("other", "opus", "input"): 5,
    }
    capped = charge_dimensions(Terms(per_unit("5"), maximum=dec(12)), prices, used, USD)
    assert capped["", "", ""].amount == -3
    assert sum(each.amount for each in capped.values()) == 12


def test_a_cap_leaves_use_of_no_model_on_the_document() -> None:
    used = {("", "", ""): Usage(dec(7)), ("p", "a", ""): Usage(dec(3))}
    capped = charge_dimensions(Terms(PerUnitPrice(dec(1)), maximum=dec(8)), [], used, USD)
    assert [step.amount for step in capped["", "", ""].steps] == [7, -2]
    assert sum(each.amount for each in capped.values()) == 8


def test_each_dimension_has_packages_of_its_own() -> None:
    terms = Terms(PackagePrice(dec(2), dec(1000), dec(0)))
    used = {("p", model, "input"): Usage(dec(600)) for model in ("a", "b")}
    assert sum(each.amount for each in charge_dimensions(terms, [], used, USD).values()) == 4


@pytest.mark.parametrize(
    ("each", "lines", "bounds", "comes_to"),
    [
        ("0.335", 40, {"maximum": dec(10)}, 1000),
        ("0.235", 40, {"minimum": dec(10)}, 1000),
        ("0.004", 3, {"maximum": dec(0)}, 0),
        # Within the bounds before each line is rounded, and beyond them afterwards.
        ("0.335", 3, {"maximum": dec("1.01")}, 101),
        ("0.334", 3, {"minimum": dec("1.00")}, 100),
        ("0.335", 3, {"minimum": dec("0.50"), "maximum": dec(2)}, 102),
    ],
)
def test_bounds_hold_of_what_stands_on_the_lines(
    each: str, lines: int, bounds: dict[str, Decimal], comes_to: int
) -> None:
    used = {("p", f"m{number}", ""): Usage(dec(1)) for number in range(lines - 1)}
    used["", "", ""] = Usage(dec(1))
    rated = charge_dimensions(Terms(PerUnitPrice(dec(each)), **bounds), [], used, USD)
    shown = [Money.from_major(one.amount).minor for one in rated.values()]
    assert sum(shown) == comes_to


def test_included_units_are_of_no_dimension() -> None:
    with pytest.raises(ValueError, match="which dimension"):
        charge_dimensions(Terms(PerUnitPrice(dec(1)), included=dec(5)), [], {}, USD)


def test_what_would_have_to_be_rounded_is_refused() -> None:
    rated = rate(PerUnitPrice(dec("0." + "3" * 60)), Usage(dec("1." + "7" * 30)))
    with pytest.raises(Inexact):
        assert rated.amount


amounts = st.decimals(0, 1000, places=6)
quantities = st.decimals(0, 100_000, places=3)


@st.composite
def tiered(draw: st.DrawFn) -> tuple[Tier, ...]:
    bounds = sorted(draw(st.sets(st.decimals(1, 50_000, places=3), max_size=4)))
    return tuple(Tier(bound, draw(amounts), draw(amounts)) for bound in [*bounds, None])


prices: st.SearchStrategy[Any] = st.one_of(
    st.builds(FlatPrice, amounts),
    st.builds(PerUnitPrice, amounts),
    st.builds(GraduatedPrice, tiered(), st.booleans()),
    st.builds(VolumePrice, tiered(), st.booleans()),
    st.builds(PackagePrice, amounts, st.decimals("0.001", 5000, places=3), quantities),
    st.builds(
        PercentagePrice,
        st.decimals(0, 1, places=6),
        amounts,
        st.integers(0, 20),
        quantities,
    ),
)
parts = st.lists(st.builds(Usage, quantities, st.integers(0, 50)), min_size=1, max_size=12)


@given(prices, parts)
def test_usage_cut_at_any_instant_comes_to_the_same(price: UsagePrice, cut: list[Usage]) -> None:
    seen = Usage()
    billed = rate(price, seen).amount
    for part in cut:
        billed += marginal(price, seen, part)
        seen += part
    assert billed == rate(price, seen).amount


@given(prices, parts)
def test_adjustments_in_whole_cents_end_at_the_final_figure(
    price: UsagePrice, cut: list[Usage]
) -> None:
    """Each document bills what the total, rounded once, has moved by: nothing is lost to cents."""
    for currency in (Currency("usd"), Currency("jpy"), Currency("kwd")):
        seen, billed = Usage(), Money.zero(currency)
        for part in cut:
            seen += part
            billed += Money.from_major(rate(price, seen).amount, currency) - billed
        assert billed == Money.from_major(rate(price, seen).amount, currency)


def test_packages_are_counted_over_the_window_not_by_the_part() -> None:
    price = PackagePrice(dec(2), dec(1000), dec(0))
    half = Usage(dec(500))
    assert rate(price, half).amount + rate(price, half).amount == 4  # what cutting would charge
    assert rate(price, half).amount + marginal(price, half, half) == 2


@given(prices, parts)
def test_steps_add_up_and_nothing_is_negative(price: UsagePrice, cut: list[Usage]) -> None:
    total = sum(cut, Usage())
    rated = rate(price, total)
    assert rated.amount == sum(step.amount for step in rated.steps)
    assert all(step.amount >= 0 for step in rated.steps)
