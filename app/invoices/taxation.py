"""Which tax an invoice bears: the rate that was said, or none where the buyer owes it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from stdnum.eu import vat

from app.invoices.domain import TaxRate

REVERSE_CHARGE = "Reverse charge: the recipient owes the tax (Article 196, Directive 2006/112/EC)."

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
# Greece writes its VAT numbers with the letters of its language.
_PREFIXES = {"EL": "GR"}


@dataclass(frozen=True, slots=True)
class Seller:
    """What of the seller decides about tax."""

    country: str | None
    tax_name: str
    tax_rate: Decimal


@dataclass(frozen=True, slots=True)
class Taxation:
    """The rates of a document and what has to be written on it."""

    rates: tuple[TaxRate, ...]
    notes: tuple[str, ...] = ()


def normal_vat_id(text: str) -> str | None:
    """A VAT number of the EU as it is written officially; None where form or check digits are
    wrong. That it is in use is for the registers to say."""
    compact = "".join(letter for letter in text.upper() if letter.isalnum())
    return compact if vat.is_valid(compact) else None


def vat_country(vat_id: str) -> str:
    """The country that gave a valid number."""
    return _PREFIXES.get(vat_id[:2], vat_id[:2])


def taxation(
    seller: Seller, buyer_tax_id: str | None, agreed: Decimal | None, asked: Decimal | None
) -> Taxation:
    """How an invoice is taxed.

    A business in another state of the EU with a valid VAT number owes the tax itself, whatever
    the rate. Else what an operator *asked* for counts, then what was *agreed* with the
    organization, then the seller's own rate.
    """
    vat_id = normal_vat_id(buyer_tax_id) if buyer_tax_id is not None else None
    if seller.country in EU and vat_id is not None:
        country = vat_country(vat_id)
        if country in EU and country != seller.country:
            return Taxation((), (REVERSE_CHARGE,))
    rate = next(one for one in (asked, agreed, seller.tax_rate) if one is not None)
    return Taxation((TaxRate(seller.tax_name, rate),) if rate else ())
