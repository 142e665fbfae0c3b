"""How credit is given and drawn (rule 7). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.kernel.money import Currency

EXPIRING_SOON = timedelta(days=7)
"""How long before its end people are told of a grant."""


class GrantType(StrEnum):
    """Where credit came from."""

    PROMOTIONAL = "promotional"
    REFERRAL = "referral"
    ADJUSTMENT = "adjustment"
    REFUND = "refund"
    PURCHASED = "purchased"


_NEVER = datetime.max.replace(tzinfo=UTC)
_DRAWN_FIRST = {kind: place for place, kind in enumerate(GrantType)}
"""Rule 7 puts promotional before purchased; what was given before what was paid for."""


class EntryKind(StrEnum):
    """What happened to a balance."""

    GRANT = "grant"
    DEDUCTION = "deduction"
    EXPIRY = "expiry"
    RETURN = "return"
    """A deduction that was taken back, to the grants it had drawn on."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Credit that was given, and what is left of it, in minor units."""

    id: UUID
    type: GrantType
    currency: Currency
    amount: int
    remaining: int
    expires_at: datetime | None
    granted_at: datetime
    description: str | None = None

    def is_spendable(self, now: datetime) -> bool:
        return self.remaining > 0 and not self.has_lapsed(now)

    def has_lapsed(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Draw:
    """How much of a grant an entry took; negative for what it gave back."""

    grant_id: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger; *amount* is what it adds to the balance, in minor units."""

    id: UUID
    kind: EntryKind
    credit_type: GrantType | None
    """Of a grant; a deduction may draw on several."""
    amount: int
    currency: Currency
    description: str | None
    invoice_id: UUID | None
    actor: str
    created_at: datetime
    draws: tuple[Draw, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What is there to spend in one currency, and which of it will lapse soon."""

    currency: Currency
    amount: int
    expiring: tuple[Grant, ...]
    """Every grant with an end and something left, the soonest first."""


@dataclass(frozen=True, slots=True)
class Deduction:
    """What a deduction took, and what is still owed after it, in minor units."""

    entry: Entry | None
    amount_deducted: int
    remaining_amount: int
    balance: int


def in_order_of_use(grants: Iterable[Grant]) -> list[Grant]:
    """Soonest to expire first, then given before paid for, then oldest (rule 7)."""
    return sorted(
        grants,
        key=lambda grant: (
            grant.expires_at is None,
            grant.expires_at or _NEVER,
            _DRAWN_FIRST[grant.type],
            grant.granted_at,
            grant.id,
        ),
    )


def draw(amount: int, grants: Iterable[Grant], now: datetime) -> tuple[Draw, ...]:
    """Take *amount* from what may be spent, or as much of it as there is."""
    if amount < 0:
        raise ValueError("an amount to draw is not negative")
    draws: list[Draw] = []
    for grant in in_order_of_use(grants):
        if amount == 0:
            break
        if grant.is_spendable(now):
            taken = min(amount, grant.remaining)
            draws.append(Draw(grant.id, taken))
            amount -= taken
    return tuple(draws)
