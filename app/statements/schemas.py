"""Statements on the wire; amounts in minor units."""

from __future__ import annotations

from app.infra.http.schemas import Instant, OutputModel, prefixed_id
from app.statements.domain import Account, Entry, Ledger, Statement

InvoiceId = prefixed_id("inv")


class StatementEntryOut(OutputModel):
    """A line. Of the account, a positive amount is owed to the seller; of prepaid credit, it was
    added. `balance` is what the book says after it."""

    at: Instant
    kind: str
    reference: str | None
    invoice_id: InvoiceId | None  # type: ignore[valid-type]
    amount: int
    balance: int

    @classmethod
    def from_domain(cls, entry: Entry) -> StatementEntryOut:
        return cls(
            at=entry.at,
            kind=entry.kind,
            reference=entry.reference,
            invoice_id=entry.invoice_id,
            amount=entry.amount.minor,
            balance=entry.balance.minor,
        )


class BookOut(OutputModel):
    """A book of one currency: the opening balance and the lines add up to the closing balance."""

    opening_balance: int
    lines: list[StatementEntryOut]
    closing_balance: int

    @classmethod
    def from_domain(cls, ledger: Ledger) -> BookOut:
        return cls(
            opening_balance=ledger.opening.minor,
            lines=[StatementEntryOut.from_domain(entry) for entry in ledger.entries],
            closing_balance=ledger.closing.minor,
        )


class AccountOut(OutputModel):
    """What happened in one currency: `account` is what is owed, `prepaid_credit` what is left."""

    currency: str
    account: BookOut
    prepaid_credit: BookOut

    @classmethod
    def from_domain(cls, account: Account) -> AccountOut:
        return cls(
            currency=account.currency,
            account=BookOut.from_domain(account.account),
            prepaid_credit=BookOut.from_domain(account.credit),
        )


class StatementOut(OutputModel):
    """A statement of `[period_start, period_end)`, by currency."""

    period_start: Instant
    period_end: Instant
    accounts: list[AccountOut]

    @classmethod
    def from_domain(cls, statement: Statement) -> StatementOut:
        return cls(
            period_start=statement.period.start,
            period_end=statement.period.end,
            accounts=[AccountOut.from_domain(account) for account in statement.accounts],
        )
