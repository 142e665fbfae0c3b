"""Credit on random invoices: never more than is owed, nor than there is, and in the order of rule 7.

The ledger is the real one; what it should have done is worked out here from its entries alone.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from uuid import UUID

import pytest

from app.credits.domain import GrantType
from app.credits.models import CreditGrant
from app.credits.service.ledger import NewGrant
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.kernel.money import Currency, Money
from app.kernel.settling import CreditDrawn
from tests.support.credit_shelf import Books
from tests.support.long import EVERYTHING

SEED = 20_261_121
INVOICES = 10_000 if EVERYTHING else 400
START = datetime(2026, 11, 21, 9, tzinfo=UTC)
CURRENCIES = [Currency(code) for code in ("usd", "usd", "eur", "jpy")]
# Rule 7: promotional before purchased; decision 910: what was given before what was paid for.
GIVEN_FIRST = ["promotional", "referral", "adjustment", "refund", "purchased"]


def left_of(books: Books) -> dict[UUID, int]:
    """What each grant has left: no more than what entries say that they took and gave."""
    left: dict[UUID, int] = defaultdict(int)
    for draws in books.shelf.draws.values():
        for draw in draws:
            left[draw.grant_id] -= draw.amount
    return left


def spendable(books: Books, currency: Currency) -> list[tuple[UUID, int]]:
    """What may be drawn in a currency now, in the order of rule 7."""
    now, left = books.clock.now(), left_of(books)

    def place(grant: CreditGrant) -> tuple[bool, datetime, int, datetime, UUID]:
        kind = GIVEN_FIRST.index(grant.type)
        return (grant.expires_at is None, grant.expires_at or now, kind, grant.granted_at, grant.id)

    return [
        (one.id, left[one.id])
        for one in sorted(books.shelf.grants, key=place)
        if one.currency == str(currency)
        and left[one.id] > 0
        and (one.expires_at is None or one.expires_at > now)
    ]


def expected(books: Books, due: Money) -> list[tuple[UUID, int]]:
    """What an invoice may draw, when use is settled."""
    there = spendable(books, due.currency)
    account = books.shelf.accounts.get(str(due.currency))
    spoken_for = 0
    if account is not None and account.is_used:
        posted = sum((cost for _, cost in books.calls.made), Decimal(0))
        settled = -sum(
            one.amount for one in books.shelf.entries if (one.cause or "").startswith("use:")
        )
        owed = max(posted * 100 - settled, Decimal(0))
        spoken_for = ceil(owed + books.calls.held * 100)
    room = min(due.minor, max(sum(amount for _, amount in there) - spoken_for, 0))
    found = []
    for grant, amount in there:
        taken = min(room, amount)
        room -= taken
        if taken:
            found.append((grant, taken))
    return found


def adds_up(books: Books) -> None:
    """Balances are their entries and their grants; no grant gave more than it had."""
    left = left_of(books)
    for grant in books.shelf.grants:
        assert 0 <= left[grant.id] <= grant.amount
        assert grant.remaining == left[grant.id]
    currency_of = {grant.id: grant.currency for grant in books.shelf.grants}
    for entry in books.shelf.entries:
        draws = books.shelf.draws[entry.id]
        assert entry.amount == -sum(draw.amount for draw in draws)
        assert {currency_of[draw.grant_id] for draw in draws} == {entry.currency}
    for currency in {str(each) for each in CURRENCIES}:
        balance = sum(one.amount for one in books.shelf.entries if one.currency == currency)
        grants = (one for one in books.shelf.grants if one.currency == currency)
        assert balance == sum(left[one.id] for one in grants)
        assert balance >= 0
    if books.calls.bounded is not None:
        dollars = sum(left[one.id] for one in books.shelf.grants if one.currency == "usd")
        assert books.calls.bounded.balance * 100 == dollars


async def grant(books: Books, dice: random.Random) -> None:
    ends = dice.choice([None, 1, 1, 30, 400])
    new = NewGrant(
        dice.choice(list(GrantType)),
        Money(dice.choice([1, dice.randint(1, 500), dice.randint(1, 50_000)]), _currency(dice)),
        None,
        None if ends is None else books.clock.now() + timedelta(days=ends),
    )
    await books.ledger.grant(books.organization_id, new, actor="test")


async def pay(books: Books, dice: random.Random, invoice_id: UUID, due: Money) -> int:
    """Apply credit to an invoice and say how much; twice, and it is the same."""
    await books.ledger.bring_up(books.organization_id, due.currency)
    adds_up(books)
    may_draw, there = expected(books, due), spendable(books, due.currency)
    drawn = await books.invoices.apply(books.organization_id, invoice_id, due)
    assert told(drawn) == may_draw
    applied = sum(one.amount.minor for one in drawn)
    assert 0 <= applied <= due.minor
    assert applied <= sum(amount for _, amount in there)
    assert {one.amount.currency for one in drawn} <= {due.currency}
    entries = len(books.shelf.entries)
    if drawn and dice.random() < 0.3:
        again = await books.invoices.apply(books.organization_id, invoice_id, due)
        assert (told(again), len(books.shelf.entries)) == (may_draw, entries)
    adds_up(books)
    return applied


def told(drawn: object) -> list[tuple[UUID, int]]:
    assert isinstance(drawn, list | tuple)
    found: list[CreditDrawn] = list(drawn)
    return [(one.grant_id, one.amount.minor) for one in found]


async def void(books: Books, dice: random.Random, invoice_id: UUID, applied: int) -> None:
    """Give back what an invoice drew; what has lapsed meanwhile lapses again."""
    back = await books.invoices.give_back(books.organization_id, invoice_id)
    assert back.minor == applied
    if applied:
        assert not await books.invoices.give_back(books.organization_id, invoice_id)
    adds_up(books)


def _currency(dice: random.Random) -> Currency:
    return dice.choice(CURRENCIES)


@pytest.mark.timeout(900)
async def test_credit_is_never_over_applied_and_keeps_its_order() -> None:
    dice, invoices, seen = random.Random(SEED), 0, Counter[str]()
    while invoices < INVOICES:
        books = Books(ManualClock(START))
        if dice.random() < 0.4:
            await books.pay_calls()
        issued: list[tuple[UUID, int]] = []
        for _ in range(dice.randint(5, 40)):
            match dice.choice(["grant", "grant", "invoice", "invoice", "void", "call", "pass"]):
                case "grant":
                    await grant(books, dice)
                case "invoice":
                    due = Money(dice.randint(1, dice.choice([50, 60_000])), _currency(dice))
                    issued.append((new_id(), 0))
                    issued[-1] = issued[-1][0], await pay(books, dice, issued[-1][0], due)
                    invoices += 1
                    seen["part" if 0 < issued[-1][1] < due.minor else "whole or nothing"] += 1
                case "void" if issued:
                    await void(books, dice, *issued.pop(dice.randrange(len(issued))))
                    seen["void"] += 1
                case "call":
                    cost = Decimal(dice.randint(1, 10**8)).scaleb(-6)
                    books.calls.made.append((books.clock.now(), cost))
                    books.calls.held = Decimal(dice.choice([0, dice.randint(1, 10**7)])).scaleb(-6)
                case "pass":
                    books.clock.advance(hours=dice.choice([1, 24, 24 * 31]))
        kinds = Counter(entry.kind for entry in books.shelf.entries)
        seen += kinds
    # Nothing of it was left out.
    assert {"part", "void", "grant", "deduction", "expiry", "return"} <= seen.keys()
