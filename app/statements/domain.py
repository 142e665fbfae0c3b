"""A statement of account as a value; its sums are made here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from uuid import UUID

from app.kernel.money import Currency, Money
from app.kernel.periods import Period


class Book(StrEnum):
    """Two books are kept for each currency."""

    ACCOUNT = "account"
    """What is owed to the seller; negative is owed to the customer."""
    CREDIT = "credit"
    """Prepaid credit that is left."""


class EntryKind(StrEnum):
    """What a line of the account is. Its sign is the customer's debt."""

    INVOICE = "invoice"
    BALANCE = "customer_balance"
    """What a customer's balance at Stripe took off an invoice, or put on it."""
    PREPAID = "prepaid_credit"
    """Prepaid credit that paid a part of an invoice."""
    PAYMENT = "payment"
    ADJUSTMENT = "adjustment"
    """What Stripe took off an invoice in another way."""
    VOID = "void"
    """What a void invoice no longer asks for."""
    CREDIT_NOTE = "credit_note"
    NOTE_VOID = "credit_note_void"
    """A credit note of Stripe's that was taken back."""
    TO_BALANCE = "to_customer_balance"
    """A credit note's amount that went to a customer's balance at Stripe."""
    TO_CREDIT = "to_prepaid_credit"
    """A credit note's amount that became prepaid credit."""
    REFUND = "refund"
    REFUND_GRANTED = "refund_granted"
    """A refund without a credit note: what it gives back is no longer asked for either."""
    DISPUTE = "dispute"
    """What a customer's bank took back of a payment."""
    DISPUTE_WON = "dispute_won"
    """A disputed amount that came back."""
    CREDIT_TAKEN = "prepaid_credit_taken_back"
    """Prepaid credit that was bought with a payment lost to a dispute, and is not to be had
    any more: it is not owed."""
    CREDIT_GIVEN = "prepaid_credit_given_back"
    """That credit again, when the payment was won back after all."""
    CHARGE = "charge"
    """What a payment was for that belongs to no invoice."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row as the database adds it up: a line, or with no instant all that came before."""

    book: Book
    currency: Currency
    at: datetime | None
    kind: str
    reference: str | None
    invoice_id: UUID | None
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a book, with what the balance is after it."""

    at: datetime
    kind: str
    reference: str | None
    invoice_id: UUID | None
    amount: Money
    balance: Money


@dataclass(frozen=True, slots=True)
class Ledger:
    """One book of one currency over the period."""

    opening: Money
    entries: tuple[Entry, ...]

    @property
    def closing(self) -> Money:
        return self.entries[-1].balance if self.entries else self.opening

    def total_of(self, *kinds: str) -> Money:
        """The sum of the lines of these kinds."""
        return sum(
            (entry.amount for entry in self.entries if entry.kind in kinds),
            Money.zero(self.opening.currency),
        )

    @property
    def is_empty(self) -> bool:
        return not self.opening and not self.entries


@dataclass(frozen=True, slots=True)
class Account:
    """Both books of a currency."""

    currency: Currency
    account: Ledger
    credit: Ledger


@dataclass(frozen=True, slots=True)
class Statement:
    """What happened in a period, by currency."""

    period: Period
    accounts: tuple[Account, ...]


def statement_of(period: Period, found: Iterable[Found]) -> Statement:
    """Rows into books. *found* is ordered by instant; its openings have none."""
    by_currency = sorted(found, key=lambda row: row.currency)
    return Statement(
        period,
        tuple(
            _account(Currency(currency), list(rows))
            for currency, rows in groupby(by_currency, key=lambda row: row.currency)
        ),
    )


def _account(currency: Currency, rows: Sequence[Found]) -> Account:
    return Account(
        currency,
        _ledger(currency, [row for row in rows if row.book is Book.ACCOUNT]),
        _ledger(currency, [row for row in rows if row.book is Book.CREDIT]),
    )


def _ledger(currency: Currency, rows: Sequence[Found]) -> Ledger:
    opening = Money(sum(row.amount for row in rows if row.at is None), currency)
    balance, entries = opening, []
    for row in rows:
        if row.at is None:
            continue
        amount = Money(row.amount, currency)
        balance = balance + amount
        entries.append(Entry(row.at, row.kind, row.reference, row.invoice_id, amount, balance))
    return Ledger(opening, tuple(entries))
