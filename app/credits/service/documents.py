"""What invoices ask of credit; fulfils their `CreditLedger`. Every method joins their unit."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.credits.domain import GrantType
from app.credits.service.ledger import CreditLedger, NewGrant
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Currency, Money
from app.kernel.settling import CreditDrawn

_ACTOR = "system"


class CreditOfInvoices:
    """The ledger by the names of the documents that it pays."""

    def __init__(self, work: UnitOfWork, ledger: CreditLedger) -> None:
        self._work = work
        self._ledger = ledger

    async def available(self, organization_id: OrganizationId, currency: Currency) -> Money:
        """What could be drawn now."""
        balances = await self._ledger.balances(organization_id)
        found = next((one.available for one in balances if one.currency == currency), 0)
        return Money(found, currency)

    async def apply(
        self, organization_id: OrganizationId, invoice_id: UUID, amount: Money
    ) -> Sequence[CreditDrawn]:
        """Draw what there is, at most *amount*. For the same invoice again: the same entries."""
        if not await self._ledger.is_kept_for(organization_id, amount.currency):
            return ()
        deduction = await self._ledger.deduct(
            organization_id,
            amount,
            actor=_ACTOR,
            description="Applied to an invoice",
            invoice_id=invoice_id,
            cause=_cause(invoice_id),
        )
        entry = deduction.entry
        if entry is None:
            return ()
        return [
            CreditDrawn(entry.id, draw.grant_id, Money(draw.amount, amount.currency))
            for draw in entry.draws
        ]

    async def give_back(self, organization_id: OrganizationId, invoice_id: UUID) -> Money:
        """Return what an invoice drew to its grants; nothing the second time."""
        back = await self._ledger.give_back(
            organization_id, _cause(invoice_id), actor=_ACTOR, description="Invoice voided"
        )
        return back or Money.zero()

    async def grant_back(
        self, organization_id: OrganizationId, credit_note_id: UUID, amount: Money
    ) -> None:
        """Make a credit note's amount credit; once for each note."""
        await self._ledger.grant(
            organization_id,
            NewGrant(GrantType.REFUND, amount, "Credit note"),
            actor=_ACTOR,
            cause=f"credit_note:{credit_note_id}",
        )

    async def keep_surplus(
        self, organization_id: OrganizationId, request_id: UUID, amount: Money
    ) -> None:
        """Make what was paid too much credit; once for each request for payment."""
        await self._ledger.grant(
            organization_id,
            NewGrant(GrantType.REFUND, amount, "Paid more than was owed"),
            actor=_ACTOR,
            cause=f"surplus:{request_id}",
        )


def _cause(invoice_id: UUID) -> str:
    return f"invoice:{invoice_id}"
