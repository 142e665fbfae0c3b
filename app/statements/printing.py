"""A statement as a paper and as a table."""

from __future__ import annotations

import csv
import io

from app.invoices.document import Party, date_text, figure_text, money_text, period_text
from app.invoices.paper import Listing, Paper, Row
from app.invoices.table import safe
from app.kernel.ids import encode_id
from app.kernel.money import Money
from app.statements.domain import Account, Book, EntryKind, Ledger, Statement

_WORDS: dict[str, str] = {
    EntryKind.INVOICE.value: "Invoice",
    EntryKind.BALANCE.value: "Customer balance",
    EntryKind.PREPAID.value: "Paid from prepaid credit",
    EntryKind.PAYMENT.value: "Payment",
    EntryKind.ADJUSTMENT.value: "Adjustment",
    EntryKind.VOID.value: "Invoice void",
    EntryKind.CREDIT_NOTE.value: "Credit note",
    EntryKind.NOTE_VOID.value: "Credit note void",
    EntryKind.TO_BALANCE.value: "Added to the customer balance",
    EntryKind.TO_CREDIT.value: "Added to prepaid credit",
    EntryKind.REFUND.value: "Refund",
    EntryKind.REFUND_GRANTED.value: "Refund granted",
    EntryKind.DISPUTE.value: "Payment disputed",
    EntryKind.DISPUTE_WON.value: "Disputed payment returned",
    EntryKind.CREDIT_TAKEN.value: "Prepaid credit taken back",
    EntryKind.CREDIT_GIVEN.value: "Prepaid credit given back",
    EntryKind.CHARGE.value: "Charge",
}
"""Of the account; kinds of the ledger of credit are words already."""

_COLUMNS = (
    "book",
    "currency",
    "at",
    "kind",
    "reference",
    "invoice_id",
    "amount",
    "balance",
)


def paper_of(statement: Statement, seller: Party, customer: Party) -> Paper:
    """The statement to print: a listing for each book in which there is anything."""
    listings = [
        listing
        for account in statement.accounts
        for listing in _listings(account)
        if listing is not None
    ]
    owed = [account.account.closing for account in statement.accounts if account.account.closing]
    return Paper(
        kind="Statement of account",
        number=period_text(statement.period),
        seller=seller,
        customer=customer,
        facts=(
            ("From", date_text(statement.period.start)),
            ("Until", date_text(statement.period.end)),
        ),
        headline="To pay" if all(amount.minor >= 0 for amount in owed) else "Balance",
        headline_amount=" · ".join(money_text(amount) for amount in owed)
        or next((money_text(one.account.closing) for one in statement.accounts), "0"),
        listings=tuple(listings),
        notes=("Negative amounts are in your favour.",),
        moment=statement.period.end,
    )


def table_of(statement: Statement) -> str:
    """One row a line, with opening and closing balances; amounts in major units."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for account in statement.accounts:
        for book, ledger in ((Book.ACCOUNT, account.account), (Book.CREDIT, account.credit)):
            start = [book.value, account.currency]
            opening = f"{ledger.opening.major:f}"
            writer.writerow(
                [*start, statement.period.start.isoformat(), "opening", "", "", "", opening]
            )
            for entry in ledger.entries:
                invoice = encode_id("inv", entry.invoice_id) if entry.invoice_id else ""
                writer.writerow(
                    [
                        *start,
                        entry.at.isoformat(),
                        entry.kind,
                        safe(entry.reference or ""),
                        invoice,
                        f"{entry.amount.major:f}",
                        f"{entry.balance.major:f}",
                    ]
                )
            closing = f"{ledger.closing.major:f}"
            writer.writerow(
                [*start, statement.period.end.isoformat(), "closing", "", "", "", closing]
            )
    return out.getvalue()


def _listings(account: Account) -> tuple[Listing | None, Listing | None]:
    code = account.currency.upper()
    return (
        _listing(f"Account in {code}", account.account, _account_sums(account.account)),
        _listing(f"Prepaid credit in {code}", account.credit, ()),
    )


def _account_sums(ledger: Ledger) -> tuple[tuple[str, Money, bool], ...]:
    sums = (
        ("Invoiced", ledger.total_of("invoice", "void", "charge")),
        ("Customer balance", ledger.total_of("customer_balance")),
        ("Adjusted", ledger.total_of("adjustment")),
        ("Paid", ledger.total_of("payment")),
        ("Paid from prepaid credit", ledger.total_of("prepaid_credit")),
        (
            "Credited",
            ledger.total_of(
                "credit_note",
                "credit_note_void",
                "to_prepaid_credit",
                "to_customer_balance",
                "refund_granted",
            ),
        ),
        ("Refunded", ledger.total_of("refund")),
        (
            "Disputed",
            ledger.total_of(
                "dispute", "dispute_won", "prepaid_credit_taken_back", "prepaid_credit_given_back"
            ),
        ),
    )
    return tuple((label, amount, False) for label, amount in sums if amount)


def _listing(
    caption: str, ledger: Ledger, sums: tuple[tuple[str, Money, bool], ...]
) -> Listing | None:
    if ledger.is_empty:
        return None
    return Listing(
        caption=caption,
        names=("What", "On", "Amount", "Balance"),
        rows=tuple(
            Row(
                _WORDS.get(entry.kind, entry.kind.capitalize()),
                entry.reference or "",
                (date_text(entry.at), figure_text(entry.amount), figure_text(entry.balance)),
            )
            for entry in ledger.entries
        ),
        sums=(
            ("Opening balance", ledger.opening, False),
            *sums,
            ("Closing balance", ledger.closing, True),
        ),
    )
