"""From lines to what is owed: discounts, tax, and shares that add up to the cent (rule 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from app.kernel.money import Money, total_of
from app.kernel.rates import EXACT
from app.kernel.settling import Discount, DiscountStage, DiscountTaken

ROUNDING = "half-away-from-zero/line; tax on the net; largest remainder"
"""How this service rounds; every invoice names it."""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A tax and its share of the net: `0.19` is 19 percent."""

    name: str
    rate: Decimal

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError("a tax is between nothing and everything")


@dataclass(frozen=True, slots=True)
class TaxCharged:
    """What one rate comes to on a document's net."""

    tax: TaxRate
    net: Money
    amount: Money


@dataclass(frozen=True, slots=True)
class LineTotals:
    """What of the document's discount and tax falls on one line."""

    amount: Money
    discount: Money
    tax: Money

    @property
    def net(self) -> Money:
        return self.amount - self.discount


@dataclass(frozen=True, slots=True)
class Totals:
    """A document's sums. Each is the sum of its lines."""

    lines: tuple[LineTotals, ...]
    discounts: tuple[DiscountTaken, ...]
    taxes: tuple[TaxCharged, ...]
    subtotal: Money
    discount: Money
    tax: Money

    @property
    def net(self) -> Money:
        return self.subtotal - self.discount

    @property
    def total(self) -> Money:
        return self.net + self.tax


def total_up(
    amounts: Sequence[Money],
    discounts: Sequence[Discount],
    taxes: Sequence[TaxRate],
    nothing: Money,
) -> Totals:
    """The document of lines that are worth *amounts*; *nothing* is zero of its currency.

    Lines may be negative, their sum may not. Raises `ValueError`.
    """
    currency = nothing.currency
    subtotal = total_of(amounts, currency)
    if subtotal.minor < 0:
        raise ValueError("a document asks for nothing at least")
    nets = list(amounts)
    taken: list[DiscountTaken] = []
    for discount in sorted(discounts, key=_order):
        off = _worth(discount, total_of(nets, currency))
        if not off:
            continue
        # What is negative already takes no share, and no line goes below zero.
        shares = off.split([max(net.minor, 0) for net in nets])
        nets = [net - share for net, share in zip(nets, shares, strict=True)]
        taken.append(DiscountTaken(discount, off))
    net = total_of(nets, currency)
    charged: list[TaxCharged] = []
    line_taxes = [nothing] * len(nets)
    for tax in taxes:
        with localcontext(EXACT):
            exact = [each.minor * tax.rate for each in nets]
            whole = net.minor * tax.rate
        amount = Money(int(whole.quantize(Decimal(1), ROUND_HALF_UP, EXACT)), currency)
        charged.append(TaxCharged(tax, net, amount))
        shares = [Money(part, currency) for part in spread(amount.minor, exact)]
        line_taxes = [sum_ + share for sum_, share in zip(line_taxes, shares, strict=True)]
    return Totals(
        lines=tuple(
            LineTotals(amount, amount - left, tax)
            for amount, left, tax in zip(amounts, nets, line_taxes, strict=True)
        ),
        discounts=tuple(taken),
        taxes=tuple(charged),
        subtotal=subtotal,
        discount=subtotal - net,
        tax=total_of((each.amount for each in charged), currency),
    )


def spread(total: int, exact: Sequence[Decimal]) -> list[int]:
    """Whole numbers next to the *exact* shares that sum to *total*, their rounded sum.

    The largest remainders are rounded up, the earlier of equals first; negative shares as well.
    """
    floors = [int(share.to_integral_value(ROUND_FLOOR)) for share in exact]
    left = total - sum(floors)
    if not 0 <= left <= len(floors):
        raise ValueError("the total is not the rounded sum of its shares")
    order = sorted(range(len(exact)), key=lambda i: (floors[i] - exact[i], i))
    for index in order[:left]:
        floors[index] += 1
    return floors


def _order(discount: Discount) -> tuple[bool, bool]:
    return discount.stage is DiscountStage.VOLUME, discount.fixed is None


def _worth(discount: Discount, base: Money) -> Money:
    """What it takes off *base*, never more than all of it."""
    if discount.fixed is not None:
        return min(discount.fixed, base)
    assert discount.percent is not None
    with localcontext(EXACT):
        share = base.minor * discount.percent / 100
    return Money(int(share.quantize(Decimal(1), ROUND_HALF_UP, EXACT)), base.currency)
