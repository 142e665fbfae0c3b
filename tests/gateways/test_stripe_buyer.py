"""Whom an invoice is made out to, read off Stripe's own."""

from __future__ import annotations

from typing import Any

from app.gateways.stripe import parse
from app.gateways.stripe.gateway import StripeBuyer


def buyer_of(**customer: Any) -> StripeBuyer:
    amounts = dict.fromkeys(
        ("subtotal", "total", "amount_due", "amount_paid", "amount_remaining"), 0
    )
    return parse.invoice(
        {"id": "in_1", "currency": "usd", "created": 1_700_000_000, **amounts, **customer}
    ).buyer


def test_an_address_becomes_lines() -> None:
    found = buyer_of(
        customer_name="Analytical Engines Ltd",
        customer_email="accounts@example.test",
        customer_address={
            "line1": "1 Example Street",
            "line2": None,
            "city": "Exeter",
            "postal_code": "EX1 2MP",
            "state": "",
            "country": "GB",
        },
        customer_tax_ids=[{"type": "gb_vat", "value": "GB123456789"}, {"type": "x", "value": None}],
    )
    assert found == StripeBuyer(
        name="Analytical Engines Ltd",
        email="accounts@example.test",
        address=("1 Example Street", "EX1 2MP Exeter", "GB"),
        tax_ids=("GB123456789",),
    )


def test_what_stripe_leaves_out_is_left_out() -> None:
    nothing = {"customer_address": None, "customer_tax_ids": None, "customer_name": None}
    assert buyer_of(**nothing) == buyer_of() == StripeBuyer()
