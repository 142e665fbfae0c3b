"""Papers beside the invoice: credit notes, receipts, statements. One value, from which the PDF and
the page are made, so that no two renderings can disagree on a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.invoices.document import (
    Labels,
    Party,
    clean,
    date_text,
    figure_text,
    footer_of,
    money_text,
    shown_party,
    total_row,
)
from app.invoices.domain import Noted, NoteKind, Settlement
from app.invoices.html import Pages
from app.invoices.pdf import Press
from app.kernel.money import Money


@dataclass(frozen=True, slots=True)
class Row:
    """Words, fainter words below, and a figure for each further column."""

    words: str
    below: str
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A table with its sums; the caption names it where a paper has several."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    sums: tuple[tuple[str, Money, bool], ...]
    """What it is called, how much, and whether it is what counts."""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything a paper shows. Amounts are given, not worked out."""

    kind: str
    number: str
    seller: Party
    customer: Party
    facts: tuple[tuple[str, str], ...]
    headline: str
    headline_amount: str
    listings: tuple[Listing, ...]
    moment: datetime
    """Of the paper, not of its printing: the bytes stay the same."""
    notes: tuple[str, ...] = ()
    labels: Labels = field(default_factory=Labels)

    async def print(self, press: Press) -> bytes:
        return await press.print("paper.typ", self._shown(), self.moment)

    def page(self, pages: Pages) -> str:
        return pages.render("paper.html", self._shown())

    def _shown(self) -> dict[str, object]:
        labels = self.labels
        return {
            "title": clean(f"{self.kind} {self.number}"),
            "kind": self.kind,
            "number": clean(self.number),
            "labels": {"from": labels.from_, "to": labels.to, "page": labels.page},
            "seller": shown_party(self.seller, labels),
            "customer": shown_party(self.customer, labels),
            "facts": [{"label": label, "value": clean(value)} for label, value in self.facts],
            "headline": self.headline,
            "headline_amount": self.headline_amount,
            "listings": [_listing(one) for one in self.listings],
            "notes": [clean(note) for note in self.notes],
            "footer": footer_of(self.seller, labels),
        }


def _listing(listing: Listing) -> dict[str, object]:
    return {
        "caption": listing.caption,
        "names": list(listing.names),
        "rows": [
            {
                "words": clean(row.words),
                "below": clean(row.below),
                "figures": [clean(figure) for figure in row.figures],
            }
            for row in listing.rows
        ],
        "totals": [
            total_row(label, amount, strong=strong) for label, amount, strong in listing.sums
        ],
    }


_KINDS = {NoteKind.CORRECTION: "Correction", NoteKind.GOODWILL: "Goodwill"}
_SETTLEMENTS = {
    Settlement.REDUCTION: "Less is left to pay on the invoice",
    Settlement.CREDIT: "Added to the prepaid credit",
    Settlement.REFUND: "To be refunded",
    Settlement.BALANCE: "Added to the balance that pays the next invoices",
}


def credit_note_paper(note: Noted) -> Paper:
    """The note as it was issued. What became of its refund is not on it: an issued note stays the
    same."""
    currency = note.total.currency.upper()
    return Paper(
        kind="Credit note",
        number=note.number,
        seller=note.seller,
        customer=note.customer,
        facts=(
            ("Issued", date_text(note.issued_at)),
            ("For invoice", note.invoice_number),
            ("Kind", _KINDS[note.kind]),
            ("Currency", currency),
            *((("Void since", date_text(note.voided_at)),) if note.voided_at else ()),
        ),
        headline=_SETTLEMENTS[note.settlement],
        headline_amount=money_text(note.total),
        listings=(
            Listing(
                names=("Taken back of", "Net", "Tax", f"Amount ({currency})"),
                rows=tuple(
                    Row(
                        line.description,
                        "",
                        _figures((line.net, line.tax, line.net + line.tax)),
                    )
                    for line in note.lines
                ),
                sums=(
                    ("Net", note.net, False),
                    ("Tax", note.tax, False),
                    ("Total", note.total, True),
                ),
            ),
        ),
        notes=(f"Reason: {note.reason}",) if note.reason else (),
        moment=note.issued_at,
    )


def _figures(amounts: Sequence[Money]) -> tuple[str, ...]:
    return tuple(figure_text(amount) for amount in amounts)
