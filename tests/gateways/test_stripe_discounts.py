"""What coupons took off, read off Stripe's own invoices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.gateways.stripe import parse
from app.gateways.stripe.gateway import StripeDiscount

AMOUNTS = dict.fromkeys(("subtotal", "total", "amount_due", "amount_paid", "amount_remaining"), 0)


@pytest.mark.parametrize(
    ("coupon", "name", "percent"),
    [
        ({"id": "c1", "name": "Spring", "percent_off": 12.5}, "Spring", Decimal("12.5")),
        ({"id": "c1", "name": None, "percent_off": None, "amount_off": 500}, "c1", None),
        ({"id": "c1", "object": "coupon", "deleted": True}, "c1", None),
        ("c1", "c1", None),
        (None, "Discount", None),
    ],
)
def test_a_discount_has_its_coupons_name(coupon: Any, name: str, percent: Decimal | None) -> None:
    data = {
        "id": "in_1",
        "currency": "usd",
        "created": 1_700_000_000,
        **AMOUNTS,
        "discounts": [{"id": "di_1", "source": {"type": "coupon", "coupon": coupon}}],
        "total_discount_amounts": [
            {"amount": 500, "discount": "di_1"},
            {"amount": 70, "discount": "di_of_a_line"},
            {"amount": 0, "discount": "di_used_up"},
        ],
    }
    found = parse.invoice(data)
    assert found.discounts == (
        StripeDiscount(name, percent, 500),
        StripeDiscount("Discount", None, 70),
    )
    assert found.discount == sum(one.amount for one in found.discounts)
    assert parse.invoice({**data, "discounts": ["di_1"]}).discounts[0].name == "Discount"
