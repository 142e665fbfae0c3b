"""The sums below a printed statement lead from one balance to the other."""

from datetime import UTC, datetime

from app.invoices.document import Party
from app.kernel.money import USD, Money, total_of
from app.kernel.periods import Period
from app.statements.domain import Book, EntryKind, Found, statement_of
from app.statements.printing import paper_of

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def test_every_kind_of_line_is_in_one_sum_and_paid_is_what_was_paid() -> None:
    found = [Found(Book.ACCOUNT, USD, None, "opening", None, None, 7)] + [
        Found(Book.ACCOUNT, USD, NOVEMBER.start, kind.value, None, None, 10**place)
        for place, kind in enumerate(EntryKind, start=1)
    ]
    paper = paper_of(statement_of(NOVEMBER, found), Party("Aragora"), Party("Ada"))
    sums = {label: amount for label, amount, _ in paper.listings[0].sums}
    closing = sums.pop("Closing balance")
    assert total_of(list(sums.values())) == closing
    assert closing.minor == 7 + sum(one.amount for one in found[1:])
    amounts = {one.kind: Money(one.amount) for one in found}
    assert sums["Paid"] == amounts["payment"]
    assert sums["Paid from prepaid credit"] == amounts["prepaid_credit"]
    assert sums["Customer balance"] == amounts["customer_balance"]
