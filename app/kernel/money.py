"""What is owed, paid or credited: whole minor units of one currency (rule 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from typing import Self

DIGITS = {
    **dict.fromkeys(
        [
            "bif",
            "clp",
            "djf",
            "gnf",
            "isk",
            "jpy",
            "kmf",
            "krw",
            "pyg",
            "rwf",
            "ugx",
            "uyi",
            "vnd",
            "vuv",
            "xaf",
            "xof",
            "xpf",
        ],
        0,
    ),
    **dict.fromkeys(["bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"], 3),
}
"""ISO 4217 minor digits where they are not two."""


# A quotient of 60 digits must not be rounded on its way to being rounded.
_WIDE = Context(prec=100)


class Currency(str):
    """An ISO 4217 code in lower case, as Stripe writes it: `usd`."""

    __slots__ = ()

    def __new__(cls, code: str) -> Self:
        lowered = code.lower()
        if len(lowered) != 3 or not lowered.isascii() or not lowered.isalpha():
            raise ValueError(f"{code!r} is not a currency code")
        return super().__new__(cls, lowered)

    @property
    def digits(self) -> int:
        """How many decimal places the minor unit stands for: usd 2, jpy 0, kwd 3."""
        return DIGITS.get(str(self), 2)


USD = Currency("usd")


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units. Adding two currencies raises `CurrencyMismatch`."""

    minor: int
    currency: Currency = USD

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("minor units are whole numbers")

    @classmethod
    def zero(cls, currency: Currency = USD) -> Money:
        return cls(0, currency)

    @classmethod
    def from_major(cls, amount: Decimal, currency: Currency = USD) -> Money:
        """Round a major amount (`Decimal("0.165")` dollars) to minor units, half away from zero.

        The one crossing from working figures to money; call it once a line (rule 6).
        """
        scaled = amount.scaleb(currency.digits, _WIDE)
        return cls(int(scaled.quantize(Decimal(1), ROUND_HALF_UP, _WIDE)), currency)

    @property
    def major(self) -> Decimal:
        return Decimal(self.minor).scaleb(-self.currency.digits)

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not add up")
        return other.minor

    def split(self, weights: Sequence[int | Decimal]) -> list[Money]:
        """Share the amount by largest remainder; the pieces always sum to the whole.

        Ties go to the earlier weight. Weights of nothing share evenly.
        """
        if not weights:
            raise ValueError("an amount is split among at least one")
        if any(weight < 0 for weight in weights):
            raise ValueError("weights are not negative")
        parts = [Fraction(weight) for weight in weights]
        total = sum(parts, Fraction(0))
        if total == 0:
            parts, total = [Fraction(1)] * len(parts), Fraction(len(parts))
        sign = -1 if self.minor < 0 else 1
        whole = abs(self.minor)
        exact = [whole * part / total for part in parts]
        floors = [int(share) for share in exact]
        left = whole - sum(floors)
        by_remainder = sorted(range(len(parts)), key=lambda i: (-(exact[i] - floors[i]), i))
        for index in by_remainder[:left]:
            floors[index] += 1
        return [Money(sign * piece, self.currency) for piece in floors]


def total_of(amounts: Iterable[Money], currency: Currency = USD) -> Money:
    """The sum of amounts of one currency; zero of *currency* when there are none."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result
