"""Working figures: exact decimals that are rounded once, later, on a document line."""

from decimal import Context, Decimal, InvalidOperation, localcontext

COST_PLACES = 12
"""Decimal places kept for costs and unit prices; the column is numeric(38, 12)."""

# numeric(38, 12) has 26 digits before the point; products of two such figures need 60.
EXACT = Context(prec=60)

_PER_MILLION = Decimal(1_000_000)


def exact(value: str | int | Decimal) -> Decimal:
    """A finite decimal. Floats are refused by type, NaN and infinity by value."""
    if isinstance(value, float):
        raise TypeError("a figure of money is never a float")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError("a figure is finite")
    return number


def per_million(tokens: int, price: Decimal) -> Decimal:
    """The exact cost of *tokens* at *price* per million tokens, in the price's currency."""
    with localcontext(EXACT):
        return tokens * price / _PER_MILLION


def plain(number: Decimal) -> str:
    """A decimal as people write it: no exponent, no trailing zeros, `0` for zero."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text
