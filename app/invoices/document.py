"""An invoice as a person reads it: one value, from which the PDF and the page are made.

Everything is turned into text here, once, so that no two renderings can disagree on a figure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, TypedDict

from app.kernel.money import Money
from app.kernel.periods import Period
from app.kernel.rates import plain

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_INSTANT = timedelta(microseconds=1)

# Letters that turn the direction of what follows them; a name must not rewrite its neighbours.
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Labels:
    """The fixed words of a document; another language is another instance."""

    invoice: str = "Invoice"
    from_: str = "From"
    to: str = "Bill to"
    issued: str = "Issued"
    due: str = "Due"
    paid: str = "Paid"
    period: str = "Period"
    currency: str = "Currency"
    reference: str = "Reference"
    description: str = "Description"
    quantity: str = "Quantity"
    unit_price: str = "Unit price"
    amount: str = "Amount"
    subtotal: str = "Subtotal"
    discount: str = "Discount"
    tax: str = "Tax"
    total: str = "Total"
    balance: str = "Customer balance"
    credit: str = "Prepaid credit"
    reduced: str = "Credit notes"
    adjusted: str = "Adjustment"
    voided: str = "Void"
    settled: str = "Settled: {ways}"
    by: str = "{amount} by {way}"
    payment: str = "payment"
    tax_included: str = "{tax} (included)"
    amount_paid: str = "Amount paid"
    amount_due: str = "Amount due"
    tax_id: str = "Tax ID"
    page: str = "Page"
    net: str = "Total without tax"
    carried: str = "Carried forward"
    brought: str = "Brought forward"
    headlines: tuple[tuple[str, str], ...] = (
        ("draft", "Draft, not yet issued"),
        ("open", "Amount due"),
        ("paid", "Paid in full"),
        ("void", "Void: nothing is owed on this invoice"),
        ("uncollectible", "Written off as uncollectible"),
    )

    def headline(self, status: str) -> str:
        return dict(self.headlines)[status]


@dataclass(frozen=True, slots=True)
class Party:
    """Who sells or who buys."""

    name: str
    address: tuple[str, ...] = ()
    email: str | None = None
    tax_id: str | None = None
    country: str | None = None
    """Two letters, where the address says no more than a place."""


def party_to_json(party: Party) -> dict[str, Any]:
    return {
        "name": party.name,
        "address": list(party.address),
        "email": party.email,
        "tax_id": party.tax_id,
        "country": party.country,
    }


def party_from_json(stored: dict[str, Any]) -> Party:
    return Party(
        stored["name"],
        tuple(stored["address"]),
        stored["email"],
        stored["tax_id"],
        # Older documents have it in the address.
        stored.get("country"),
    )


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One thing that was sold. `amount` is what counts; the unit price explains it if known."""

    description: str
    amount: Money
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class NamedAmount:
    """A tax or a discount by its name, with its share in percent where it is one."""

    name: str
    percent: Decimal | None
    amount: Money

    @property
    def label(self) -> str:
        share = f"{plain(self.percent)} %" if self.percent is not None else ""
        # Some are named after their share.
        return self.name if self.name.endswith(share) else f"{self.name} {share}"


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """Everything an invoice shows. Amounts are given, not worked out: the issuer decided them."""

    number: str
    status: str
    seller: Party
    customer: Party
    lines: tuple[DocumentLine, ...]
    subtotal: Money
    total: Money
    amount_paid: Money
    amount_due: Money
    created_at: datetime
    tax: Money | None = None
    discount: Money | None = None
    balance: Money | None = None
    """What the customer's balance took off the total, or put on it."""
    credit: Money | None = None
    """What prepaid credit took off the total."""
    reduced: Money | None = None
    """What credit notes took off it before it was paid."""
    adjusted: Money | None = None
    """What is not asked for any more for another reason: it is void, or Stripe settled it so."""
    taxes: tuple[NamedAmount, ...] = ()
    """What `tax` is made of, where that is known; `discounts` likewise."""
    discounts: tuple[NamedAmount, ...] = ()
    issued_at: datetime | None = None
    due_at: datetime | None = None
    paid_at: datetime | None = None
    period: Period | None = None
    reference: str | None = None
    notes: tuple[str, ...] = ()
    labels: Labels = field(default_factory=Labels)


class Line(TypedDict):
    description: str
    period: str
    quantity: str
    unit_price: str
    amount: str
    carried: str
    """What the lines have come to with this one."""


class Total(TypedDict):
    label: str
    amount: str
    strong: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One of the sums below the lines. Those of `before` lead from the lines to the total, those of
    `after` from the total to what is left to pay: each adds what its `amount` says."""

    kind: str
    label: str
    amount: Money


class Labelled(TypedDict):
    label: str
    value: str


class ShownParty(TypedDict):
    name: str
    details: list[str]


class Shown(TypedDict):
    """A document as text, ready to be laid out."""

    title: str
    number: str
    status: str
    labels: dict[str, str]
    seller: ShownParty
    customer: ShownParty
    facts: list[Labelled]
    headline: str
    headline_amount: str
    lines: list[Line]
    totals: list[Total]
    notes: list[str]
    footer: str


def as_shown(document: InvoiceDocument) -> Shown:
    """The document's texts and figures, the same for every rendering."""
    labels = document.labels
    currency = document.total.currency.upper()
    headline, headline_amount = _headline(document)
    return {
        "title": clean(f"{labels.invoice} {document.number}"),
        "number": clean(document.number),
        "status": document.status,
        "labels": {
            "invoice": labels.invoice,
            "from": labels.from_,
            "to": labels.to,
            "description": labels.description,
            "quantity": labels.quantity,
            "unit_price": labels.unit_price,
            "amount": f"{labels.amount} ({currency})",
            "page": labels.page,
            "carried": labels.carried,
            "brought": labels.brought,
        },
        "seller": shown_party(document.seller, labels),
        "customer": shown_party(document.customer, labels),
        "facts": _facts(document, currency),
        "headline": headline,
        "headline_amount": headline_amount,
        "lines": _lines(document.lines),
        "totals": _totals(document),
        "notes": [clean(note) for note in document.notes],
        "footer": footer_of(document.seller, labels),
    }


def steps_before(document: InvoiceDocument) -> list[Step]:
    """From the sum of the lines to the total. Tax that the lines include is none of them."""
    labels = document.labels
    steps: list[Step] = []
    if document.discounts:
        steps += [Step("discount", clean(one.label), -one.amount) for one in document.discounts]
    elif document.discount:
        steps.append(Step("discount", labels.discount, -document.discount))
    if tax_included(document):
        added = (document.tax or document.total) - tax_included(document)
        steps += [Step("tax", labels.tax, added)] if added else []
    elif document.taxes:
        steps += [Step("tax", clean(one.label), one.amount) for one in document.taxes]
    elif document.tax is not None:
        steps.append(Step("tax", labels.tax, document.tax))
    return steps


def steps_after(document: InvoiceDocument) -> list[Step]:
    """From the total to what is left to pay; what was paid is the last."""
    labels = document.labels
    is_void = document.status == "void"
    given = (
        ("customer_balance", labels.balance, document.balance),
        ("credit_applied", labels.credit, _less(document.credit)),
        ("credit_notes", labels.reduced, _less(document.reduced)),
        (
            "voided" if is_void else "adjustment",
            labels.voided if is_void else labels.adjusted,
            _less(document.adjusted),
        ),
    )
    steps = [Step(kind, label, amount) for kind, label, amount in given if amount]
    return [*steps, Step("amount_paid", labels.amount_paid, -document.amount_paid)]


def tax_included(document: InvoiceDocument) -> Money:
    """The part of the tax that the lines' amounts contain already."""
    nothing = Money.zero(document.total.currency)
    if document.tax is None:
        return nothing
    added = document.total - document.subtotal + (document.discount or nothing)
    return document.tax - added if nothing <= added < document.tax else nothing


def settled_words(
    paid: Money, others: Sequence[tuple[str, Money]], labels: Labels
) -> tuple[str, str]:
    """How a settled document is headed, and over what: paid in full where money paid for all of
    it, else by what."""
    if not others:
        return labels.headline("paid"), money_text(paid)
    ways = [*others, *([(labels.payment, paid)] if paid else [])]
    said = [labels.by.format(amount=money_text(amount), way=way.lower()) for way, amount in ways]
    whole = sum((amount for _, amount in ways), Money.zero(paid.currency))
    return labels.settled.format(ways=", ".join(said)), money_text(whole)


def _headline(document: InvoiceDocument) -> tuple[str, str]:
    labels = document.labels
    if document.status != "paid":
        return labels.headline(document.status), money_text(document.amount_due)
    off = [
        (step.label, -step.amount)
        for step in steps_after(document)
        if step.kind != "amount_paid" and step.amount.minor < 0
    ]
    return settled_words(document.amount_paid, off, labels)


def _less(amount: Money | None) -> Money | None:
    return -amount if amount is not None else None


def money_text(amount: Money) -> str:
    """`USD 1,234.50`, with as many decimals as the currency has."""
    return f"{amount.currency.upper()} {figure_text(amount)}"


def figure_text(amount: Money) -> str:
    return f"{amount.major:,.{amount.currency.digits}f}"


def date_text(instant: datetime) -> str:
    """`7 Mar 2026`: no reader takes the month for the day."""
    return f"{instant.day} {_MONTHS[instant.month - 1]} {instant.year}"


def period_text(period: Period) -> str:
    """`1 Mar 2026 – 31 Mar 2026`: the first and the last day that it touches."""
    first, last = date_text(period.start), date_text(period.end - _INSTANT)
    return f"{first} – {last}" if last != first else first


def _facts(document: InvoiceDocument, currency: str) -> list[Labelled]:
    labels = document.labels
    given: Sequence[tuple[str, str | None]] = (
        (labels.issued, _optional_date(document.issued_at)),
        (labels.due, _optional_date(document.due_at)),
        (labels.paid, _optional_date(document.paid_at)),
        (labels.period, period_text(document.period) if document.period else None),
        (labels.currency, currency),
        (labels.reference, clean(document.reference) if document.reference else None),
    )
    return [{"label": label, "value": value} for label, value in given if value is not None]


def _totals(document: InvoiceDocument) -> list[Total]:
    labels = document.labels
    before = steps_before(document)
    rows: list[Total] = [total_row(labels.subtotal, document.subtotal)]
    rows += [total_row(step.label, step.amount) for step in before if step.kind == "discount"]
    if document.discount and document.tax:
        rows.append(total_row(labels.net, document.total - document.tax))
    rows += [total_row(step.label, step.amount) for step in before if step.kind == "tax"]
    rows.append(total_row(labels.total, document.total, strong=True))
    if included := tax_included(document):
        rows.append(total_row(labels.tax_included.format(tax=labels.tax), included))
    *reductions, paid = steps_after(document)
    rows += [total_row(step.label, step.amount) for step in reductions]
    rows.append(total_row(paid.label, document.amount_paid))
    rows.append(total_row(labels.amount_due, document.amount_due, strong=True))
    return rows


def total_row(label: str, amount: Money, *, strong: bool = False) -> Total:
    return {"label": label, "amount": money_text(amount), "strong": strong}


def _lines(lines: Sequence[DocumentLine]) -> list[Line]:
    sums = accumulate(line.amount for line in lines)
    return [
        {
            "description": clean(line.description),
            "period": period_text(line.period) if line.period else "",
            "quantity": f"{line.quantity:,f}" if line.quantity is not None else "",
            "unit_price": _unit_price(line),
            "amount": figure_text(line.amount),
            "carried": money_text(carried),
        }
        for line, carried in zip(lines, sums, strict=True)
    ]


def _unit_price(line: DocumentLine) -> str:
    """With the currency's decimals at least; a price may be finer than its money."""
    if line.unit_price is None:
        return ""
    exponent = line.unit_price.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    return f"{line.unit_price:,.{max(decimals, line.amount.currency.digits)}f}"


def shown_party(party: Party, labels: Labels) -> ShownParty:
    details = [clean(part) for part in party.address if part.strip()]
    if party.country and details[-1:] != [party.country]:
        details.append(party.country)
    if party.email:
        details.append(clean(party.email))
    if party.tax_id:
        details.append(clean(f"{labels.tax_id} {party.tax_id}"))
    return {"name": clean(party.name), "details": details}


def footer_of(party: Party, labels: Labels) -> str:
    """The seller in one line."""
    seller = shown_party(party, labels)
    return " · ".join([seller["name"], *seller["details"]])


def _optional_date(instant: datetime | None) -> str | None:
    return date_text(instant) if instant is not None else None


def clean(text: str) -> str:
    """Without control characters, which neither a PDF nor a page can show."""
    kept = (
        " " if letter in _DIRECTIONS or unicodedata.category(letter) in {"Cc", "Cs"} else letter
        for letter in text
    )
    return " ".join("".join(kept).split())
