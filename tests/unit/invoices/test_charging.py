"""What a window asks for, and what was paid for in another way."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.invoices.domain import charges_of
from app.kernel.periods import Period
from app.pricing.domain import Tokens
from app.usage.closed import ClosedLine
from tests.unit.catalog.test_catalog_file import preset

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
CALLS = ClosedLine(
    "tokens", "openai", "gpt-4o", 2, Decimal(4_000_000), Tokens(4_000_000, 0, 0, 0), Decimal(10)
)


@pytest.mark.parametrize(("on_credit", "asked_for"), [(False, [Decimal(10)]), (True, [])])
def test_calls_that_credit_paid_for_are_not_billed_at_cost(
    on_credit: bool, asked_for: list[Decimal]
) -> None:
    catalog = preset("aragora")
    plan = catalog.plan("professional")
    assert plan is not None
    plan = replace(plan, draws_on_credit=on_credit)
    charges = charges_of(plan, catalog, [CALLS], NOVEMBER, with_fee=False, at_cost=True)
    assert [charge.amount for charge in charges] == asked_for
