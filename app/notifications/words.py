"""Amounts, days and instants as people write them."""

from __future__ import annotations

from calendar import month_name
from datetime import datetime

from app.kernel.money import Currency, Money


def amount(minor: int, currency: str) -> str:
    """`299.00 USD`."""
    return money(Money(minor, Currency(currency)))


def money(value: Money) -> str:
    return f"{value.major:f} {value.currency.upper()}"


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def instant_of(text: str) -> datetime:
    """An instant as a fact carries it through a job."""
    return datetime.fromisoformat(text)


def month(year: int, number: int) -> str:
    return f"{month_name[number]} {year}"
