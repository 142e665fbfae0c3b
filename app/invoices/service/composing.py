"""A bill as a document: discounts, tax, and the rows that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Party
from app.invoices.domain import Charge, DiscountBook, Totals, total_up
from app.invoices.models import InvoiceLine
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.details import BillingDetailsService
from app.invoices.service.rating import Bill, BillLine
from app.invoices.taxation import Seller, Taxation, taxation
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import Money
from app.kernel.rates import EXACT, plain
from app.kernel.settling import DiscountTaken, Purchase
from app.organizations.service import OrganizationService

_COST_PLACES = Decimal("1e-30")


@dataclass(frozen=True, slots=True)
class Composed:
    """A document of which only the number is missing, and the credit that may pay it."""

    bill: Bill
    totals: Totals
    taxation: Taxation
    customer: Party
    collection: str


class Composer:
    """Puts a bill, an organization's details, its discounts and its tax together."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        details: BillingDetailsService,
        organizations: OrganizationService,
        discounts: DiscountBook,
        seller: Seller,
    ) -> None:
        self._work = work
        self._own = own
        self._details = details
        self._organizations = organizations
        self._discounts = discounts
        self._seller = seller

    async def compose(
        self,
        organization_id: OrganizationId,
        invoice_id: UUID,
        bill: Bill,
        tax_rate: Decimal | None,
    ) -> Composed:
        """The document as it would be issued now. Joins the unit around it."""
        nothing = Money.zero(bill.currency)
        amounts = [line.amount for line in bill.lines]
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            details = await self._details.get(organization_id)
            purchase = Purchase(
                invoice_id=invoice_id,
                period=bill.terms.period,
                plan=bill.given_plan or bill.terms.plan,
                subtotal=sum(amounts, nothing),
                paid_before=Money(
                    await self._own.net_paid(organization_id, bill.currency), bill.currency
                ),
            )
            discounts = await self._discounts.for_invoice(organization_id, purchase)
        taxed = taxation(self._seller, details.tax_id, details.tax_rate, tax_rate)
        by_stripe = organization.stripe_customer_id is not None
        return Composed(
            bill=bill,
            totals=total_up(amounts, discounts, taxed.rates, nothing),
            taxation=taxed,
            customer=details.party(organization.name),
            collection=details.collection or ("stripe" if by_stripe else "transfer"),
        )


def figures_of(composed: Composed, credit: Money) -> dict[str, Any]:
    """The sums of the invoice's row once *credit* is taken off."""
    totals = composed.totals
    due = totals.total.minor - credit.minor
    return {
        "subtotal": totals.subtotal.minor,
        "discount": totals.discount.minor,
        "tax": totals.tax.minor,
        "total": totals.total.minor,
        "amount_due": due,
        "amount_paid": 0,
        "amount_remaining": due,
    }


def taxes_of(composed: Composed) -> list[dict[str, Any]]:
    return [
        {
            "name": one.tax.name,
            "rate": plain(one.tax.rate),
            "net": one.net.minor,
            "amount": one.amount.minor,
        }
        for one in composed.totals.taxes
    ]


def discounts_of(taken: Sequence[DiscountTaken]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.discount.name,
            "stage": one.discount.stage.value,
            "fixed": one.discount.fixed.minor if one.discount.fixed is not None else None,
            "percent": plain(one.discount.percent) if one.discount.percent is not None else None,
            "reference": str(one.discount.reference) if one.discount.reference else None,
            "amount": one.amount.minor,
        }
        for one in taken
    ]


def lines_of(
    organization_id: OrganizationId, invoice_id: UUID, composed: Composed
) -> list[InvoiceLine]:
    """The rows of the document's lines, in their order."""
    return [
        InvoiceLine(
            organization_id=organization_id,
            id=new_id(),
            invoice_id=invoice_id,
            position=position,
            description=line.description,
            amount=line.amount.minor,
            period_start=line.shown.start,
            period_end=line.shown.end,
            is_proration=line.is_proration,
            kind=line.kind.value,
            key=line.key,
            window_start=line.period.start,
            discount=totals.discount.minor,
            tax=totals.tax.minor,
            **_worked_out(line),
        )
        for position, (line, totals) in enumerate(
            zip(composed.bill.lines, composed.totals.lines, strict=True)
        )
    ]


def _worked_out(line: BillLine) -> dict[str, Any]:
    charge = line.charge
    if charge is None:
        return {}
    return {
        "quantity": charge.quantity,
        "unit_amount": charge.unit_amount,
        "exact_amount": exact_amount(charge),
        "trace": {"steps": steps_of(charge)},
    }


def exact_amount(charge: Charge) -> Decimal:
    """What was rounded. A part of a period may not end; what is kept of it decides no cent."""
    return charge.amount.quantize(_COST_PLACES, ROUND_HALF_UP, EXACT)


def steps_of(charge: Charge) -> list[dict[str, str]]:
    """How the exact amount came about."""
    return [
        {
            "name": step.name,
            "units": plain(step.units),
            "unit_amount": plain(step.unit_amount),
            "flat_amount": plain(step.flat_amount),
        }
        for step in (charge.rated.steps if charge.rated is not None else ())
    ]
