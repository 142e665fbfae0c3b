"""What Stripe, Lago, Kill Bill and others document, through our rating."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pytest

from app.catalog.domain import (
    GraduatedPrice,
    PackagePrice,
    PercentagePrice,
    Tier,
    UsagePrice,
    VolumePrice,
)
from app.kernel.money import Money
from app.kernel.periods import Period
from app.rating.domain import Usage, prorated, rate
from tests.support.worked_examples import examples, named

START = datetime(2026, 3, 1, tzinfo=UTC)


def tiers(given: list[Any]) -> tuple[Tier, ...]:
    rows = [
        (one["up_to"], one["unit"], one["flat"]) if isinstance(one, dict) else one for one in given
    ]
    return tuple(
        Tier(None if up_to is None else Decimal(up_to), Decimal(unit), Decimal(flat))
        for up_to, unit, flat in rows
    )


def price_and_usage(case: dict[str, Any]) -> tuple[UsagePrice, Usage]:
    given = case["input"]
    match case["kind"]:
        case "graduated":
            return (
                GraduatedPrice(tiers(given["tiers"]), flat_at_zero=False),
                Usage(Decimal(given["units"])),
            )
        case "graduated_percentage":
            # A share that falls by tiers is a graduated price over the amount itself.
            return (
                GraduatedPrice(tiers(given["tiers"]), flat_at_zero=False),
                Usage(Decimal(given["amount"])),
            )
        case "volume":
            # Lago charges the flat amount at zero usage; ours does where the plan says so.
            return (
                VolumePrice(tiers(given["tiers"]), flat_at_zero=True),
                Usage(Decimal(given["units"])),
            )
        case "package":
            return (
                PackagePrice(
                    Decimal(given["package_price"]),
                    Decimal(given["package_size"]),
                    Decimal(given["free_units"]),
                ),
                Usage(Decimal(given["units"])),
            )
        case _:
            return (
                PercentagePrice(
                    Decimal(given["rate_pct"]) / 100,
                    Decimal(given["fixed_per_event"]),
                    given["free_events"],
                    Decimal(given["free_amount"]),
                ),
                Usage(Decimal(given["total"]), given["events"]),
            )


@pytest.mark.parametrize(
    "case",
    examples(
        "pricing_cases", "graduated", "graduated_percentage", "volume", "package", "percentage"
    ),
    ids=named,
)
def test_usage_costs_what_they_document(case: dict[str, Any]) -> None:
    assert rate(*price_and_usage(case)).amount == Decimal(case["expected"])


def test_at_zero_usage_we_depart_from_lago_unless_the_plan_agrees() -> None:
    (case,) = [one for one in examples("pricing_cases") if one["id"] == "lago_volume_0"]
    price, usage = price_and_usage(case)
    assert isinstance(price, VolumePrice)
    assert rate(price, usage).amount == Decimal(case["expected"])
    assert rate(VolumePrice(price.tiers, flat_at_zero=False), usage).amount == 0


def part(days: Fraction) -> Period:
    return Period(START, START + timedelta(days=1) * float(days))


@pytest.mark.parametrize("case", examples("pricing_cases", "proration"), ids=named)
def test_changes_in_mid_period_cost_what_they_document(case: dict[str, Any]) -> None:
    given = case["input"]
    share = Fraction(given["remaining"])
    whole = part(Fraction(share.denominator * 7))
    left = part(Fraction(share.numerator * 7))
    debit = prorated(Decimal(given["new"]), left, whole)
    if "old" not in given:
        assert debit == Decimal(case["expected"])
        return
    credit = prorated(Decimal(given["old"]), left, whole)
    assert debit - credit + Decimal(given["new"]) == Decimal(case["expected"])


@pytest.mark.parametrize("case", examples("pricing_cases", "proration_days"), ids=named)
def test_whole_days_by_the_second_are_whole_days(case: dict[str, Any]) -> None:
    given = case["input"]
    days = Fraction(given.get("days_billed", given.get("days_left")))
    whole, billed = part(Fraction(given["days"])), part(days)
    if "price" in given:
        fee = Money.from_major(prorated(Decimal(given["price"]), billed, whole))
        assert fee.major == Decimal(case["expected"])
        return
    fee = Money.from_major(prorated(Decimal(given["price_cents"]).scaleb(-2), billed, whole))
    # Their credit notes add 25 % tax; fee and tax are rounded each by itself, as ours are.
    tax_rate = Decimal(given.get("times", 1)) - 1
    tax = Money.from_major(fee.major * tax_rate)
    assert (fee + tax).minor == int(case["expected"])


@pytest.mark.parametrize("case", examples("pricing_cases", "proration_fraction"), ids=named)
def test_the_part_of_a_period_is_kill_bills(case: dict[str, Any]) -> None:
    given = case["input"]
    share = prorated(Decimal(1), part(Fraction(given["days"])), part(Fraction(given["of"])))
    nine_digits = share.quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)
    assert nine_digits == Decimal(case["expected"])
