"""Lines, discounts, tax and credit add up to the cent, whatever they are."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.invoices.domain import TaxRate, Totals, spread, total_up
from app.kernel.money import Currency, Money
from app.kernel.settling import Discount, DiscountStage
from tests.support.long import EVERYTHING
from tests.support.worked_examples import examples, named

USD = Currency("usd")
INVOICES = 10_000 if EVERYTHING else 1_500


def money(*minors: int) -> list[Money]:
    return [Money(minor, USD) for minor in minors]


def off(percent: str | None = None, fixed: int | None = None, stage: str = "promo") -> Discount:
    return Discount(
        "off",
        DiscountStage(stage),
        fixed=Money(fixed, USD) if fixed is not None else None,
        percent=Decimal(percent) if percent is not None else None,
    )


def sums(minors: list[int], *taxes: str, discounts: list[Discount] | None = None) -> Totals:
    rates = [TaxRate("tax", Decimal(rate)) for rate in taxes]
    return total_up(money(*minors), discounts or [], rates, Money.zero(USD))


@pytest.mark.parametrize("case", examples("coupon_cases"), ids=named)
def test_coupons_come_to_what_they_document(case: dict[str, Any]) -> None:
    discounts = [
        off(percent=str(one["percent"])) if "percent" in one else off(fixed=one["fixed"])
        for one in case["coupons"]
    ]
    totals = sums([case["subtotal_minor"]], discounts=discounts)
    assert totals.discount.minor == case["expected_discount"]
    assert totals.net.minor == case["expected_net"]


def minor(value: int | str) -> int:
    if isinstance(value, int):
        return value
    amount, _, part = value.partition("*")
    whole, of = part.split("/")
    exact = Decimal(amount) * int(whole) / int(of)
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


EXCLUSIVE = [
    case for case in examples("tax_cases") if "lines_minor" in case and not case.get("inclusive")
]


@pytest.mark.parametrize("case", EXCLUSIVE, ids=named)
def test_tax_comes_to_what_they_document(case: dict[str, Any]) -> None:
    """Prices that include their tax (Stripe's and Zuora's other examples) are not sold here."""
    rates = case.get("rates_pct", [case.get("rate_pct")])
    totals = sums(
        [minor(line) for line in case["lines_minor"]],
        *(str(Decimal(str(rate)) / 100) for rate in rates),
    )
    for name, found in (
        ("expected_net", totals.net),
        ("expected_tax", totals.tax),
        ("expected_total", totals.total),
    ):
        if name in case:
            assert found.minor == case[name]


def test_the_order_is_codes_then_volume_and_amounts_before_shares() -> None:
    discounts = [
        off(percent="10", stage="volume"),
        off(percent="50"),
        off(fixed=1_000),
    ]
    totals = sums([11_000], "0.1", discounts=discounts)
    assert [(one.discount.stage.value, one.amount.minor) for one in totals.discounts] == [
        ("promo", 1_000),
        ("promo", 5_000),
        ("volume", 500),
    ]
    assert (totals.net.minor, totals.tax.minor, totals.total.minor) == (4_500, 450, 4_950)


def test_a_discount_takes_no_more_than_there_is() -> None:
    totals = sums([700, 300, -100], "0.2", discounts=[off(fixed=5_000), off(percent="10")])
    assert (totals.discount.minor, totals.net.minor, totals.total.minor) == (900, 0, 0)
    assert [line.net.minor for line in totals.lines] == [70, 30, -100]


def test_one_document_three_cents_of_tax_over_three_lines() -> None:
    """10 % of 33 cents is 3.3 cents: 3 on the document, not 4 as three lines of 1.1 round up to."""
    totals = sums([11, 11, 11], "0.1")
    assert totals.tax.minor == 3
    assert [line.tax.minor for line in totals.lines] == [1, 1, 1]
    assert [line.tax.minor for line in sums([11, 11, 12], "0.1").lines] == [1, 1, 1]
    assert [line.tax.minor for line in sums([16, 16, 16], "0.1").lines] == [2, 2, 1]


def test_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        sums([100, -101])


@given(st.lists(st.decimals(-1000, 1000, places=4), min_size=1, max_size=20))
def test_shares_are_the_neighbours_of_what_is_exact(exact: list[Decimal]) -> None:
    total = int(sum(exact, Decimal(0)).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    parts = spread(total, exact)
    assert sum(parts) == total
    assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))


def a_random_invoice(seed: int) -> tuple[list[Money], list[Discount], list[TaxRate], Currency]:
    draw = random.Random(seed)
    currency = Currency(draw.choice(["usd", "eur", "jpy", "kwd"]))
    size = draw.choice([10, 10_000, 10**9])
    amounts = [Money(draw.randint(-size // 3, size), currency) for _ in range(draw.randint(1, 12))]
    lack = sum(amount.minor for amount in amounts)
    if lack < 0:
        amounts.append(Money(-lack + draw.randint(0, size), currency))
    discounts = [
        Discount(
            f"discount {n}",
            draw.choice(list(DiscountStage)),
            fixed=Money(draw.randint(0, size), currency) if n % 2 else None,
            percent=None if n % 2 else Decimal(draw.randint(0, 10_000)) / 100,
        )
        for n in range(draw.randint(0, 4))
    ]
    rates = draw.sample(["0.19", "0.07", "0.0875", "0.2333", "1", "0.081"], draw.randint(0, 3))
    return amounts, discounts, [TaxRate(rate, Decimal(rate)) for rate in rates], currency


def rounded(value: Fraction) -> int:
    """Half away from zero, worked out another way than the service does."""
    sign = -1 if value < 0 else 1
    doubled = 2 * abs(value)
    return sign * int((doubled + 1) // 2)


def wrong_with(totals: Totals, amounts: list[Money], taxes: list[TaxRate]) -> str | None:
    """What does not add up in an invoice, if anything."""
    lines = totals.lines
    if [line.amount for line in lines] != amounts:
        return "a line changed"
    for name, whole, parts in (
        ("subtotal", totals.subtotal, [line.amount for line in lines]),
        ("discount", totals.discount, [line.discount for line in lines]),
        ("tax", totals.tax, [line.tax for line in lines]),
        ("net", totals.net, [line.net for line in lines]),
        ("discounts", totals.discount, [one.amount for one in totals.discounts]),
        ("taxes", totals.tax, [one.amount for one in totals.taxes]),
    ):
        if whole.minor != sum(part.minor for part in parts):
            return f"{name} is not the sum of its parts"
    if totals.total.minor != totals.subtotal.minor - totals.discount.minor + totals.tax.minor:
        return "the total"
    if totals.net.minor < 0 or any(
        line.discount.minor < 0 or (line.amount.minor >= 0 > line.net.minor) for line in lines
    ):
        return "a discount went below zero"
    for one, tax in zip(totals.taxes, taxes, strict=True):
        if one.amount.minor != rounded(totals.net.minor * Fraction(tax.rate)):
            return "a tax is not the rounded share of the net"
    for line in lines:
        exact = sum((line.net.minor * Fraction(tax.rate) for tax in taxes), Fraction(0))
        if abs(line.tax.minor - exact) >= max(1, len(taxes)):
            return "a line's tax is no neighbour of its share"
    return None


def test_random_invoices_add_up_at_every_level() -> None:
    faults = []
    for seed in range(INVOICES):
        amounts, discounts, taxes, currency = a_random_invoice(seed)
        totals = total_up(amounts, discounts, taxes, Money.zero(currency))
        if fault := wrong_with(totals, amounts, taxes):
            faults.append((seed, fault))
    assert not faults, faults[:5]


def test_the_audit_above_sees_a_cent() -> None:
    """Tax rounded line by line, as others do it, is found out at once."""

    def by_line(amounts: list[Money], taxes: list[TaxRate]) -> int:
        return sum(
            rounded(amount.minor * Fraction(tax.rate)) for amount in amounts for tax in taxes
        )

    differing = 0
    for seed in range(1_000):
        amounts, _, taxes, currency = a_random_invoice(seed)
        totals = total_up(amounts, [], taxes, Money.zero(currency))
        differing += totals.tax.minor != by_line(amounts, taxes)
    assert differing > 100
