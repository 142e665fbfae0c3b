"""Credit whose payment went back: what is left of it goes as well."""

from __future__ import annotations

from datetime import datetime

from app.credits.domain import TopUpTrouble
from app.credits.events import AutoTopUpFailed, CreditNotTakenBack
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.auto_top_up import AutoTopUps
from app.credits.service.ledger import CreditLedger
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.money import Money

_ACTOR = "system"


class TakingBack:
    """Each refund and each lost dispute, named by its cause, takes once. Joins the unit around."""

    def __init__(
        self,
        work: UnitOfWork,
        top_ups: TopUpRepository,
        automatic: AutoTopUps,
        ledger: CreditLedger,
    ) -> None:
        self._work = work
        self._top_ups = top_ups
        self._automatic = automatic
        self._ledger = ledger

    async def take_back(
        self,
        organization_id: OrganizationId,
        stripe_invoice_id: str,
        amount: Money,
        cause: str,
        since: datetime,
    ) -> None:
        """*amount* of what paid Stripe's invoice is gone again: if it was a top-up, so is credit.

        Never more than is left of that top-up, nor than nobody has a claim to; operators are told
        of the rest. If it was an automatic one, no other is bought by itself, unless somebody has
        switched that on after *since*, when the money began to go back.
        """
        async with self._work.begin(organization_id):
            top_up = await self._top_ups.claim_paid_with(organization_id, stripe_invoice_id)
            if top_up is None:
                return
            if top_up.is_automatic:
                await self._stop(organization_id, since)
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

    async def _stop(self, organization_id: OrganizationId, since: datetime) -> None:
        # What is taken leaves the balance low: the card that was just refunded would be charged.
        trouble = TopUpTrouble.SENT_BACK
        settings = await self._automatic.stop(organization_id, trouble, since)
        if settings is not None:
            self._work.announce(
                AutoTopUpFailed(
                    organization_id,
                    None,
                    trouble.value,
                    settings.amount,
                    settings.currency,
                    None,
                    is_off=True,
                )
            )

    async def undo(self, organization_id: OrganizationId, cause: str, description: str) -> None:
        """The money is with us again: what was taken goes back to its grant, if anything was."""
        await self._ledger.give_back(
            organization_id, _cause(cause), actor=_ACTOR, description=description
        )


def _cause(cause: str) -> str:
    return f"taken_back:{cause}"
