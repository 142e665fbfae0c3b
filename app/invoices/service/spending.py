"""What organizations have paid so far, for volume discounts."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.repository.own import OwnInvoiceRepository
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money


class PaidSpend:
    """Adds up paid invoices of either origin, net of tax, of credit notes and of refunds."""

    def __init__(self, work: UnitOfWork, own: OwnInvoiceRepository) -> None:
        self._work = work
        self._own = own

    async def paid_net(self, organization_id: OrganizationId, currency: Currency) -> Money:
        """Joins the unit around it."""
        async with self._work.begin(organization_id):
            return Money(await self._own.net_paid(organization_id, currency), currency)
