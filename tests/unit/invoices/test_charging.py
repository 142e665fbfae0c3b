"""What a window asks for, what was committed to, and what was paid for in another way."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.catalog.domain import DimensionPrice, MeteredPrice, PercentagePrice, PerUnitPrice
from app.invoices.domain import LineKind, charges_of
from app.kernel.money import Currency, Money, total_of
from app.kernel.periods import Period
from app.pricing.domain import Tokens
from app.usage.closed import ClosedLine
from tests.support.long import EVERYTHING
from tests.unit.catalog.test_catalog_file import preset

SEED = 20_261_121
NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
CALLS = ClosedLine(
    "tokens", "openai", "gpt-4o", 2, Decimal(4_000_000), Tokens(4_000_000, 0, 0, 0), Decimal(10)
)


@pytest.mark.parametrize(("on_credit", "asked_for"), [(False, [Decimal(10)]), (True, [])])
def test_calls_that_credit_paid_for_are_not_billed_at_cost(
    on_credit: bool, asked_for: list[Decimal]
) -> None:
    """Be it that the plan of now draws on credit, or that a former one did when they were made."""
    catalog = preset("aragora")
    plan = catalog.plan("professional")
    assert plan is not None
    drawing = replace(plan, draws_on_credit=on_credit)
    charges = charges_of(drawing, catalog, [CALLS], NOVEMBER, with_fee=False, at_cost=True)
    assert [charge.amount for charge in charges] == asked_for
    paid = replace(CALLS, from_credit=on_credit)
    charges = charges_of(plan, catalog, [paid], NOVEMBER, with_fee=False, at_cost=True)
    assert [charge.amount for charge in charges] == asked_for


def test_of_a_call_that_credit_paid_for_its_tokens_are_paid_and_the_call_itself_is_not() -> None:
    catalog, priced = preset("aragora"), PerUnitPrice(Decimal("0.5"))
    plan = catalog.plan("enterprise_plus")
    assert plan is not None
    debate = replace(CALLS, metric="debates", quantity=Decimal(2))
    calls = [replace(debate, from_credit=paid) for paid in (False, True)]
    per_event = PercentagePrice(Decimal(0), Decimal(1), 0, Decimal(0))
    for price, of_tokens in ((priced, 2_000_000), (per_event, 2)):
        plan = replace(
            plan,
            metered=(
                MeteredPrice("tokens_input", price, None),
                MeteredPrice("debates", priced, None),
            ),
        )
        charges = charges_of(plan, catalog, calls, NOVEMBER, with_fee=False)
        assert [charge.amount for charge in charges] == [of_tokens, 2]
    at_cost = replace(plan, metered=(MeteredPrice("tokens_input", None, None),))
    charges = charges_of(at_cost, catalog, calls, NOVEMBER, with_fee=False)
    assert [charge.amount for charge in charges] == [10]


LINES = 10_000 if EVERYTHING else 300


def test_any_lines_and_the_true_up_come_to_the_commitment_to_the_cent() -> None:
    dice, topped_up = random.Random(SEED), 0
    catalog = preset("aragora")
    plan = catalog.plan("enterprise_plus")
    assert plan is not None
    for currency in (Currency(dice.choice(["usd", "jpy", "kwd"])) for _ in range(LINES)):
        calls = [
            replace(CALLS, model=f"m{each}", tokens=Tokens(dice.randint(1, 9_999), 0, 0, 0))
            for each in range(dice.randint(1, 12))
        ]
        price = PerUnitPrice(Decimal(dice.randint(1, 10**6)).scaleb(-7))
        models = tuple(
            DimensionPrice(
                f"m{each}", "*", PerUnitPrice(Decimal(dice.randint(1, 10**6)).scaleb(-7))
            )
            for each in range(4)
        )
        committed = replace(
            plan,
            metered=(MeteredPrice("tokens_input", price, None, dimensions=models),),
            commitment=Decimal(dice.randint(1, 10**9)).scaleb(-6),
        )
        charges = charges_of(
            committed, replace(catalog, currency=currency), calls, NOVEMBER, with_fee=False
        )
        shown = [Money.from_major(charge.amount, currency) for charge in charges]
        used = [
            each
            for each, charge in zip(shown, charges, strict=True)
            if charge.kind is LineKind.USAGE
        ]
        assert committed.commitment is not None
        least = Money.from_major(committed.commitment, currency)
        assert total_of(shown, currency) == max(total_of(used, currency), least), SEED
        topped_up += len(shown) > len(used)
    assert 0 < topped_up < LINES
