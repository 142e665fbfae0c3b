"""Invoices as values: states, lines, what usage comes to, totals, tax, and what is asked of others."""

from app.invoices.domain.charging import (
    Charge,
    CostsAreInDollars,
    LineKind,
    Share,
    bills_costs,
    bills_usage,
    charges_of,
    counts,
    included_units,
    is_ours,
)
from app.invoices.domain.details import Details
from app.invoices.domain.invoice import (
    CollectionState,
    Invoice,
    InvoiceLine,
    InvoiceOrigin,
    InvoiceStatus,
    Named,
    OwnPart,
    Progress,
)
from app.invoices.domain.notes import Noted, NoteKind, NoteRequest, Settlement
from app.invoices.domain.preview import OwnPreview, PreviewedLine
from app.invoices.domain.running import RunReport
from app.invoices.domain.seams import (
    CreditLedger,
    DiscountBook,
    NoCredits,
    NoDiscounts,
)
from app.invoices.domain.totals import (
    ROUNDING,
    LineTotals,
    TaxCharged,
    TaxRate,
    Totals,
    spread,
    total_up,
)

__all__ = [
    "ROUNDING",
    "Charge",
    "CollectionState",
    "CostsAreInDollars",
    "CreditLedger",
    "Details",
    "DiscountBook",
    "Invoice",
    "InvoiceLine",
    "InvoiceOrigin",
    "InvoiceStatus",
    "LineKind",
    "LineTotals",
    "Named",
    "NoCredits",
    "NoDiscounts",
    "NoteKind",
    "NoteRequest",
    "Noted",
    "OwnPart",
    "OwnPreview",
    "PreviewedLine",
    "Progress",
    "RunReport",
    "Settlement",
    "Share",
    "TaxCharged",
    "TaxRate",
    "Totals",
    "bills_costs",
    "bills_usage",
    "charges_of",
    "counts",
    "included_units",
    "is_ours",
    "spread",
    "total_up",
]
