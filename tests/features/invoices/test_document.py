"""One document, two renderings and a table: the same figures, and no name is markup."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import time
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from html.parser import HTMLParser

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.invoices.document import (
    DocumentLine,
    Labels,
    NamedAmount,
    Party,
    as_shown,
    figure_text,
    money_text,
    period_text,
    shown_party,
)
from app.invoices.html import Pages
from app.invoices.pdf import Press, render_pdf
from app.invoices.table import render_csv
from app.kernel.money import Currency, Money
from app.kernel.periods import Period
from tests.factories.invoices import a_document

PAGES = Pages()

A4_WIDTH = 595

HOSTILE = [
    '#set page(fill: red) #include "/etc/passwd"',
    "$x^2$ *bold* _under_ `raw` @ref <label> // gone /* gone */",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% raw %}",
    '\\u{0041} #"a" ]',
]


def pdf_text(pdf: bytes) -> str:
    """The text of all pages, with white space made single."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        pages = []
        for page in document:
            text_page = page.get_textpage()
            pages.append(text_page.get_text_range())
            text_page.close()
            page.close()
    finally:
        document.close()
    return squeezed(" ".join(pages))


def squeezed(text: str) -> str:
    return " ".join(text.replace("\u200b", "").replace("\ufffe", "").split())


def page_count(pdf: bytes) -> int:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return len(document)
    finally:
        document.close()


class TextOf(HTMLParser):
    """What a reader of the page sees, and which tags it is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: set[str] = set()
        self._is_unseen = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._is_unseen = tag in {"style", "title"}
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._is_unseen = False

    def handle_data(self, data: str) -> None:
        if not self._is_unseen:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return squeezed(" ".join(self.parts))


def test_the_pdf_shows_every_figure() -> None:
    document = a_document(
        lines=2,
        tax=Money(1234),
        discount=Money(500),
        total=Money(60534),
        amount_paid=Money(60534),
        reference="in_1MtHbELkdIwHu7ixl4OzzPMv",
        notes=("Thank you.",),
    )
    text = pdf_text(render_pdf(document))
    for shown in (
        "INV-2026-000123",
        "Ada Lovelace GmbH",
        "1 Example Street",
        "Paid in full USD 605.34",
        "Professional plan, part 2",
        "21 Nov 2026 – 21 Dec 2026",
        "Total without tax USD 593.00",
        "Discount USD -5.00",
        "Tax USD 12.34",
        "Amount due USD 0.00",
        "in_1MtHbELkdIwHu7ixl4OzzPMv",
        "Thank you.",
        "Page 1 / 1",
    ):
        assert shown in text


@settings(max_examples=15, deadline=None)
@given(
    amounts=st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=12),
    currency=st.sampled_from(["usd", "jpy", "kwd", "eur"]),
    quantity=st.decimals(min_value=0, max_value=10**6, places=3),
)
def test_the_page_and_the_pdf_show_the_same_figures(
    amounts: list[int], currency: str, quantity: Decimal
) -> None:
    code = Currency(currency)
    lines = tuple(
        DocumentLine(f"Line {n}", Money(a, code), quantity) for n, a in enumerate(amounts)
    )
    total = Money(sum(amounts), code)
    document = a_document(
        lines=1,
        currency=currency,
        status="open",
        total=total,
        subtotal=total,
        amount_paid=Money(0, code),
        amount_due=total,
    )
    document = replace(document, lines=lines)
    pdf, page = pdf_text(render_pdf(document)), TextOf(PAGES.invoice(document)).text
    shown = as_shown(document)
    for figure in [line["amount"] for line in shown["lines"]] + [
        row["amount"] for row in shown["totals"]
    ]:
        assert figure in pdf
        assert figure in page
    number = r"-?\d[\d,]*(?:\.\d+)?"
    assert sorted(re.findall(number, _without_pages(pdf))) == sorted(re.findall(number, page))


def _without_pages(text: str) -> str:
    return re.sub(r"Page \d+ / \d+", "", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup(name: str) -> None:
    document = a_document(name, notes=(name,), reference=name)
    assert squeezed(name) in pdf_text(render_pdf(document))
    page = TextOf(PAGES.invoice(document))
    assert squeezed(name) in page.text
    assert page.tags.isdisjoint({"script", "img", "label"})


@pytest.mark.parametrize(
    "name",
    [
        *("株式会社 山田太郎", "有限公司 北京", "주식회사 한국", "שלום בע״מ"),
        "Žofia Ščedrin",
        "Ελληνικά ΑΕ",
        "ООО «Ромашка»",
        "Nguyễn Thị Ánh",
        "Ærø & Søn",
        *("ไทย จำกัด", "ქართული", "한국 株式会社 北京", "★ Ltd 😀"),
    ],
)
def test_names_of_many_scripts_are_archivable(name: str) -> None:
    pdf = render_pdf(a_document(name))
    assert name in pdf_text(pdf)
    assert b"pdfaid" in pdf
    assert b"/MarkInfo" in pdf


@pytest.mark.parametrize("name", ["ᠮᠣᠩᠭᠣᠯ Ltd", "ᏣᎳᎩ"])
def test_a_letter_without_a_font_still_gives_a_document(name: str) -> None:
    document = a_document(name)
    assert "USD 299.00" in pdf_text(render_pdf(document))
    assert name in TextOf(PAGES.invoice(document)).text


def test_a_name_turns_no_direction_and_hides_no_control() -> None:
    shown = as_shown(a_document("a\u202eb\x07c\r\nd\u2066e"))
    assert shown["customer"]["name"] == "a b c d e"


def test_a_word_longer_than_the_page_stays_on_it() -> None:
    name = "W" * 300
    pdf = render_pdf(a_document(name))
    assert pdf_text(pdf).replace(" ", "").count("W") == 300
    assert max(box[2] for letter, box in letters_of(pdf) if letter == "W") < A4_WIDTH


def test_a_name_from_the_right_stands_where_lines_begin() -> None:
    pdf = render_pdf(a_document("شركة الأفق Z"))
    lefts = {
        letter: min(box[0] for found, box in letters_of(pdf) if found == letter) for letter in "ZB"
    }
    # What is read last is the leftmost, and stands below `Bill to`.
    assert lefts["Z"] == pytest.approx(lefts["B"], abs=3)


def letters_of(pdf: bytes) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The first page's letters and where they stand."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0]
        text_page = page.get_textpage()
        found = [
            (text_page.get_text_range(i, 1), text_page.get_charbox(i))
            for i in range(text_page.count_chars())
        ]
        text_page.close()
        page.close()
    finally:
        document.close()
    return found


def test_the_same_invoice_gives_the_same_bytes() -> None:
    assert render_pdf(a_document(lines=3)) == render_pdf(a_document(lines=3))
    assert render_pdf(a_document(lines=3)) != render_pdf(a_document(lines=4))


def pages_of(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        texts = []
        for page in document:
            text_page = page.get_textpage()
            texts.append(squeezed(text_page.get_text_range()))
            text_page.close()
            page.close()
    finally:
        document.close()
    return texts


def test_a_long_invoice_goes_over_pages_and_carries_its_sum() -> None:
    document = a_document(lines=200)
    lines = tuple(
        replace(line, amount=Money(1_000_003 + 7919 * at if at % 9 else -400_001 - at))
        for at, line in enumerate(document.lines)
    )
    total = Money(sum(line.amount.minor for line in lines))
    document = replace(document, lines=lines, subtotal=total, total=total, amount_paid=total)
    pages = pages_of(render_pdf(document))
    assert len(pages) > 5
    said = iter(lines)
    sum_, carried = 0, None
    for at, page in enumerate(pages, start=1):
        assert f"Page {at} / {len(pages)}" in page
        assert page.count("Description") == 1
        if carried is not None:
            assert f"Brought forward {carried}" in page
        for part in re.findall(r"Professional plan, part \d+", page):
            line = next(said)
            assert part == line.description
            assert f" {figure_text(line.amount)} " in page
            sum_ += line.amount.minor
        carried = money_text(Money(sum_))
        assert (f"Carried forward {carried}" in page) == (at < len(pages))
    assert next(said, None) is None
    assert [page.count(f"Total {money_text(total)}") for page in pages] == [
        *[0] * (len(pages) - 1),
        1,
    ]
    assert "forward" not in pages[-1].partition("Description")[2]
    assert "Brought forward" not in pages[0]


def test_a_short_invoice_carries_nothing() -> None:
    assert "forward" not in pdf_text(render_pdf(a_document(lines=3)))


async def test_the_loop_goes_on_while_a_long_invoice_is_printed() -> None:
    press = Press()
    await press.open()
    render_pdf(a_document())
    longest = 0.0
    printing = asyncio.create_task(press.invoice(a_document(lines=600)))
    started_at = last = time.perf_counter()
    while not printing.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    took = time.perf_counter() - started_at
    assert (await printing).startswith(b"%PDF")
    assert longest < took / 2
    await press.close()


@pytest.mark.parametrize(
    ("currency", "price", "shown"),
    [
        ("usd", "2500", "2,500.00"),
        ("usd", "0.000075", "0.000075"),
        ("jpy", "2500", "2,500"),
        ("kwd", "1.5", "1.500"),
    ],
)
def test_a_unit_price_has_the_decimals_of_its_currency_at_least(
    currency: str, price: str, shown: str
) -> None:
    document = a_document(currency=currency)
    line = replace(document.lines[0], unit_price=Decimal(price))
    assert as_shown(replace(document, lines=(line,)))["lines"][0]["unit_price"] == shown


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2026-11-01T00:00Z", "2026-12-01T00:00Z", "1 Nov 2026 – 30 Nov 2026"),
        ("2026-11-21T09:00Z", "2026-12-21T09:00Z", "21 Nov 2026 – 21 Dec 2026"),
        ("2026-11-01T00:00Z", "2026-11-02T00:00Z", "1 Nov 2026"),
    ],
)
def test_a_period_is_shown_by_the_days_it_touches(start: str, end: str, shown: str) -> None:
    assert period_text(Period(datetime.fromisoformat(start), datetime.fromisoformat(end))) == shown


def test_a_share_is_said_once() -> None:
    named = [
        NamedAmount("Volume discount 5 %", Decimal("5.0"), Money(1)),
        NamedAmount("Promo code TEN", Decimal(10), Money(1)),
        NamedAmount("Promo code TEN", None, Money(1)),
    ]
    assert [one.label for one in named] == [
        "Volume discount 5 %",
        "Promo code TEN 10 %",
        "Promo code TEN",
    ]


def test_a_country_is_said_once() -> None:
    for party in (Party("A", ("Weg 1", "DE"), country="DE"), Party("A", ("Weg 1",), country="DE")):
        assert shown_party(party, Labels())["details"] == ["Weg 1", "DE"]


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (123456789, "usd", "USD 1,234,567.89"),
        (-50, "eur", "EUR -0.50"),
        (1500, "jpy", "JPY 1,500"),
        (1234567, "kwd", "KWD 1,234.567"),
        (0, "usd", "USD 0.00"),
    ],
)
def test_money_has_the_decimals_of_its_currency(minor: int, currency: str, shown: str) -> None:
    assert money_text(Money(minor, Currency(currency))) == shown
    assert figure_text(Money(minor, Currency(currency))) == shown[4:]


def test_the_page_wears_only_its_own_style() -> None:
    page = PAGES.invoice(a_document())
    assert "'sha256-" in PAGES.content_policy
    assert " style=" not in page
    assert "<script" not in page
    assert "http" not in page


def test_a_spreadsheet_runs_nothing() -> None:
    document = a_document()
    lines = (
        DocumentLine("=HYPERLINK(1)", Money(150), Decimal("1.5"), Decimal("1.00")),
        DocumentLine('a "quoted", line\nbreak', Money(-50)),
    )
    document = replace(document, lines=lines)
    header, first, second, *_ = csv.reader(io.StringIO(render_csv(document)))
    assert header[0] == "invoice"
    assert first[1] == "'=HYPERLINK(1)"
    assert first[4:] == ["1.5", "1.00", "1.50", "usd", "line"]
    assert second[1:2] + second[6:7] == ['a "quoted", line\nbreak', "-0.50"]
