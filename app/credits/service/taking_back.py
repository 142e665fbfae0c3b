"""Credit whose payment went back: what is left of it goes as well."""

from __future__ import annotations

from app.credits.events import CreditNotTakenBack
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.ledger import CreditLedger
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Money

_ACTOR = "system"


class TakingBack:
    """Each refund and each lost dispute, named by its cause, takes once. Joins the unit around."""

    def __init__(self, work: UnitOfWork, top_ups: TopUpRepository, ledger: CreditLedger) -> None:
        self._work = work
        self._top_ups = top_ups
        self._ledger = ledger

    async def take_back(
        self, organization_id: OrganizationId, stripe_invoice_id: str, amount: Money, cause: str
    ) -> None:
        """*amount* of what paid Stripe's invoice is gone again: if it was a top-up, so is credit.

        Never more than is left of that top-up, nor than nobody has a claim to; operators are told
        of the rest.
        """
        async with self._work.begin(organization_id):
            top_up = await self._top_ups.claim_paid_with(organization_id, stripe_invoice_id)
            if top_up is None:
                return
            taken = await self._ledger.take_back(
                organization_id,
                f"top_up:{top_up.id}",
                amount,
                actor=_ACTOR,
                cause=_cause(cause),
                description="Payment returned",
            )
            if taken < amount.minor:
                self._work.announce(
                    CreditNotTakenBack(
                        organization_id,
                        top_up.id,
                        cause,
                        amount.minor - taken,
                        str(amount.currency),
                    )
                )

    async def undo(self, organization_id: OrganizationId, cause: str) -> None:
        """The money is with us again: what was taken goes back to its grant."""
        await self._ledger.give_back(
            organization_id, _cause(cause), actor=_ACTOR, description="Refund failed"
        )


def _cause(cause: str) -> str:
    return f"taken_back:{cause}"
