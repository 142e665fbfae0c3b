"""An invoice as EN 16931 wants it: the XML of Factur-X and ZUGFeRD (CII), made from the document.

It says what the invoice said when it was issued; what was paid since is not part of an invoice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from xml.etree import ElementTree as ET

from app.invoices.document import DocumentLine, InvoiceDocument, Party, clean
from app.invoices.errors import EInvoiceIncomplete, EInvoiceUnfit
from app.invoices.taxation import REVERSE_CHARGE, normal_vat_id
from app.kernel.money import Money
from app.kernel.periods import Period

FILE_NAME = "factur-x.xml"

_NAMESPACES = {
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
_PROFILE = "urn:cen.eu:en16931:2017"
_INVOICE = "380"
_ONE = "C62"
_DAY = "102"
_INSTANT = timedelta(microseconds=1)
_ADDRESS_LINES = ("ram:LineOne", "ram:LineTwo", "ram:LineThree")


@dataclass(frozen=True, slots=True)
class _Category:
    """How the whole document is taxed; it has one rate at most."""

    code: str
    percent: Decimal
    reason: str | None = None
    reason_code: str | None = None

    def tax(self, *more: ET.Element) -> list[ET.Element]:
        return [
            _node("ram:TypeCode", "VAT"),
            *more,
            _node("ram:CategoryCode", self.code),
            *([_node("ram:ExemptionReasonCode", self.reason_code)] if self.reason_code else []),
            _node("ram:RateApplicablePercent", f"{self.percent:f}"),
        ]

    @property
    def plain(self) -> _Category:
        """Without the reason, which only the document's sum of taxes gives."""
        return replace(self, reason=None, reason_code=None)


def as_issued(document: InvoiceDocument) -> InvoiceDocument:
    """The invoice as it left, whatever was paid since: prepaid credit alone was taken off."""
    nothing = Money.zero(document.total.currency)
    due = document.total - (document.credit or nothing)
    return replace(
        document,
        status="open" if due else "paid",
        reduced=None,
        adjusted=None,
        amount_paid=nothing,
        amount_due=due,
        paid_at=None if due else document.issued_at,
    )


def factur_x(document: InvoiceDocument) -> bytes:
    """The XML of an issued invoice.

    Raises `EInvoiceIncomplete` with what the norm asks for and nobody said, and `EInvoiceUnfit`
    for a document it has no words for.
    """
    document = as_issued(document)
    _check(document)
    category = _category(document)
    root = _node(
        "rsm:CrossIndustryInvoice",
        _node(
            "rsm:ExchangedDocumentContext",
            _node("ram:GuidelineSpecifiedDocumentContextParameter", _node("ram:ID", _PROFILE)),
        ),
        _node(
            "rsm:ExchangedDocument",
            _node("ram:ID", document.number),
            _node("ram:TypeCode", _INVOICE),
            _node("ram:IssueDateTime", _date(document.issued_at or document.created_at)),
            *(_node("ram:IncludedNote", _node("ram:Content", note)) for note in document.notes),
        ),
        _node(
            "rsm:SupplyChainTradeTransaction",
            *(
                _line(number, line, category.plain)
                for number, line in enumerate(document.lines, start=1)
            ),
            _node(
                "ram:ApplicableHeaderTradeAgreement",
                _party("ram:SellerTradeParty", document.seller, "FC"),
                _party("ram:BuyerTradeParty", document.customer, None),
            ),
            _node("ram:ApplicableHeaderTradeDelivery", *_delivered(document.period)),
            _settlement(document, category),
        ),
    )
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _check(document: InvoiceDocument) -> None:
    if document.total.currency.digits > 2:
        raise EInvoiceUnfit(why="its currency has more than two decimals")
    if len(document.taxes) > 1:
        raise EInvoiceUnfit(why="it bears more than one tax")
    missing = [
        name
        for name, said in (
            ("ARAGORA_SELLER_COUNTRY", document.seller.country),
            ("ARAGORA_SELLER_TAX_ID", document.seller.tax_id),
            ("billing_details.country", document.customer.country),
            (
                "billing_details.tax_id",
                document.customer.tax_id or REVERSE_CHARGE not in document.notes,
            ),
            ("lines", document.lines),
        )
        if not said
    ]
    if missing:
        raise EInvoiceIncomplete(missing=missing, named=", ".join(missing))


def _category(document: InvoiceDocument) -> _Category:
    if REVERSE_CHARGE in document.notes:
        return _Category("AE", Decimal(0), "Reverse charge", "VATEX-EU-AE")
    percent = document.taxes[0].percent if document.taxes else None
    return _Category("S", percent) if percent else _Category("Z", Decimal(0))


def _line(number: int, line: DocumentLine, category: _Category) -> ET.Element:
    quantity, price = _explained(line)
    return _node(
        "ram:IncludedSupplyChainTradeLineItem",
        _node("ram:AssociatedDocumentLineDocument", _node("ram:LineID", str(number))),
        _node("ram:SpecifiedTradeProduct", _node("ram:Name", line.description)),
        _node(
            "ram:SpecifiedLineTradeAgreement",
            _node("ram:NetPriceProductTradePrice", _node("ram:ChargeAmount", f"{price:f}")),
        ),
        _node(
            "ram:SpecifiedLineTradeDelivery",
            _node("ram:BilledQuantity", f"{quantity:f}", unitCode=_ONE),
        ),
        _node(
            "ram:SpecifiedLineTradeSettlement",
            _node("ram:ApplicableTradeTax", *category.tax()),
            *_period(line.period),
            _node(
                "ram:SpecifiedTradeSettlementLineMonetarySummation",
                _node("ram:LineTotalAmount", _amount(line.amount)),
            ),
        ),
    )


def _explained(line: DocumentLine) -> tuple[Decimal, Decimal]:
    """How many at which price, where that is the amount; else one at the amount, or one taken
    back, because a price is never negative."""
    if line.quantity is not None and line.unit_price is not None and line.unit_price >= 0:
        exact = line.quantity * line.unit_price
        places = Decimal(1).scaleb(-line.amount.currency.digits)
        if exact.quantize(places, ROUND_HALF_UP) == line.amount.major:
            return line.quantity, line.unit_price
    return Decimal(1).copy_sign(line.amount.minor), abs(line.amount.major)


def _settlement(document: InvoiceDocument, category: _Category) -> ET.Element:
    nothing = Money.zero(document.total.currency)
    tax = document.tax or nothing
    discount = document.discount or nothing
    currency = document.total.currency.upper()
    reason = [_node("ram:ExemptionReason", category.reason)] if category.reason else []
    net = document.total - tax
    due = (
        [
            _node(
                "ram:SpecifiedTradePaymentTerms",
                _node("ram:DueDateDateTime", _date(document.due_at)),
            )
        ]
        if document.due_at
        else []
    )
    return _node(
        "ram:ApplicableHeaderTradeSettlement",
        _node("ram:InvoiceCurrencyCode", currency),
        _node(
            "ram:ApplicableTradeTax",
            _node("ram:CalculatedAmount", _amount(tax)),
            *category.tax(*reason, _node("ram:BasisAmount", _amount(net))),
        ),
        *_period(document.period),
        *(
            _node(
                "ram:SpecifiedTradeAllowanceCharge",
                _node("ram:ChargeIndicator", _node("udt:Indicator", "false")),
                _node("ram:ActualAmount", _amount(one.amount)),
                _node("ram:Reason", one.label),
                _node("ram:CategoryTradeTax", *category.plain.tax()),
            )
            for one in document.discounts
        ),
        *due,
        _node(
            "ram:SpecifiedTradeSettlementHeaderMonetarySummation",
            _node("ram:LineTotalAmount", _amount(document.subtotal)),
            _node("ram:AllowanceTotalAmount", _amount(discount)),
            _node("ram:TaxBasisTotalAmount", _amount(net)),
            _node("ram:TaxTotalAmount", _amount(tax), currencyID=currency),
            _node("ram:GrandTotalAmount", _amount(document.total)),
            _node("ram:TotalPrepaidAmount", _amount(document.total - document.amount_due)),
            _node("ram:DuePayableAmount", _amount(document.amount_due)),
        ),
    )


def _party(tag: str, party: Party, other_number: str | None) -> ET.Element:
    """*other_number* is the kind of a tax number that is no VAT number, where the norm has one."""
    *first, last = _ADDRESS_LINES
    lines = [clean(part) for part in party.address if part.strip() and part != party.country]
    placed = list(zip(first, lines, strict=False))
    if rest := lines[len(first) :]:
        placed.append((last, ", ".join(rest)))
    return _node(
        tag,
        *_identified(party.tax_id),
        _node("ram:Name", party.name),
        _node(
            "ram:PostalTradeAddress",
            *(_node(name, text) for name, text in placed),
            _node("ram:CountryID", party.country or ""),
        ),
        *(
            [_node("ram:URIUniversalCommunication", _node("ram:URIID", party.email, schemeID="EM"))]
            if party.email
            else []
        ),
        *_registered(party.tax_id, other_number),
    )


def _identified(tax_id: str | None) -> Iterator[ET.Element]:
    """A number that is none of the EU's stands as the party's own as well."""
    if tax_id is not None and normal_vat_id(tax_id) is None:
        yield _node("ram:ID", tax_id)


def _registered(tax_id: str | None, other: str | None) -> Iterator[ET.Element]:
    vat_id = normal_vat_id(tax_id) if tax_id is not None else None
    scheme = "VA" if vat_id is not None else other
    if tax_id is not None and scheme is not None:
        number = _node("ram:ID", vat_id or tax_id, schemeID=scheme)
        yield _node("ram:SpecifiedTaxRegistration", number)


def _delivered(period: Period | None) -> Iterator[ET.Element]:
    if period is not None:
        yield _node(
            "ram:ActualDeliverySupplyChainEvent",
            _node("ram:OccurrenceDateTime", _date(period.end - _INSTANT)),
        )


def _period(period: Period | None) -> Iterator[ET.Element]:
    if period is not None:
        yield _node(
            "ram:BillingSpecifiedPeriod",
            _node("ram:StartDateTime", _date(period.start)),
            _node("ram:EndDateTime", _date(period.end - _INSTANT)),
        )


def _date(instant: datetime) -> ET.Element:
    return _node("udt:DateTimeString", f"{instant:%Y%m%d}", format=_DAY)


def _amount(amount: Money) -> str:
    return f"{amount.major:f}"


def _node(tag: str, *content: ET.Element | str, **attributes: str) -> ET.Element:
    prefix, _, name = tag.partition(":")
    made = ET.Element(f"{{{_NAMESPACES[prefix]}}}{name}", attributes)
    for one in content:
        if isinstance(one, str):
            made.text = clean(one)
        else:
            made.append(one)
    return made


for _prefix, _uri in _NAMESPACES.items():
    ET.register_namespace(_prefix, _uri)
