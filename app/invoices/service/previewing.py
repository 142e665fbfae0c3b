"""What comes next: Stripe's renewal and our own invoice of the running window, together."""

from __future__ import annotations

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import CreditLedger, OwnPreview, PreviewedLine
from app.invoices.service.composing import Composer
from app.invoices.service.rating import WindowRating
from app.invoices.service.terms import WindowTerms
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.domain import ChangePreview
from app.subscriptions.errors import NoSubscription
from app.subscriptions.service import ChangeService


class InvoicePreview:
    """Rates the running window as the run will; nothing is stored, redeemed or drawn."""

    def __init__(
        self,
        work: UnitOfWork,
        terms: WindowTerms,
        rating: WindowRating,
        composer: Composer,
        credits: CreditLedger,
        changes: ChangeService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._terms = terms
        self._rating = rating
        self._composer = composer
        self._credits = credits
        self._changes = changes
        self._clock = clock

    async def upcoming(
        self, organization_id: OrganizationId
    ) -> tuple[ChangePreview | None, OwnPreview | None]:
        """Stripe's part and ours; either is None where there is nothing of it to come.

        Raises `NoSubscription` where both are, and `UsageUnpriced`.
        """
        own = await self.own(organization_id)
        try:
            return await self._changes.upcoming(organization_id), own
        except NoSubscription:
            if own is None:
                raise
            return None, own

    async def own(self, organization_id: OrganizationId) -> OwnPreview | None:
        """Our part; None where the plan leaves us nothing to bill."""
        async with self._work.begin(organization_id):
            terms = await self._terms.running(organization_id, self._clock.now())
            if terms is None:
                return None
            bill = await self._rating.rate(organization_id, terms)
            composed = await self._composer.compose(organization_id, new_id(), bill, None)
            total = composed.totals.total
            available = await self._credits.available(organization_id, bill.currency)
        return OwnPreview(
            period=terms.period,
            lines=tuple(
                PreviewedLine(line.kind, line.description, line.amount, line.period)
                for line in bill.lines
            ),
            discount=composed.totals.discount,
            tax=composed.totals.tax,
            total=total,
            credit=min(total, available),
        )
