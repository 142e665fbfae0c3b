"""What organizations have paid so far; fulfils the `SpendReader` of discounts."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.repository import PaidRepository
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money


class PaidSpend:
    """Sums over paid invoices of either origin."""

    def __init__(self, work: UnitOfWork, paid: PaidRepository) -> None:
        self._work = work
        self._paid = paid

    async def paid_net(self, organization_id: OrganizationId, currency: Currency) -> Money:
        """What was paid on invoices, net of tax (rule 8)."""
        async with self._work.begin(organization_id):
            return Money(await self._paid.sum_net(organization_id, currency), currency)
