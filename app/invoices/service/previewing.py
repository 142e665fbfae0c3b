"""What comes next: Stripe's renewal and our own invoice of the running window, together."""

from __future__ import annotations

from decimal import Decimal

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import CreditLedger, InvoiceStatus, OwnPreview, PreviewedLine
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.composing import Composer
from app.invoices.service.issuing import terms_of
from app.invoices.service.rating import Terms, WindowRating
from app.invoices.service.terms import WindowTerms
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.domain import ChangePreview
from app.subscriptions.errors import NoSubscription, SubscriptionEnded
from app.subscriptions.service import ChangeService


class InvoicePreview:
    """Rates the running window as the run will; nothing is stored, redeemed or drawn."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        terms: WindowTerms,
        rating: WindowRating,
        composer: Composer,
        credits: CreditLedger,
        changes: ChangeService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._own = own
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

        Raises `NoSubscription` where both are, and what `WindowRating` raises.
        """
        own = await self.own(organization_id)
        try:
            return await self._changes.upcoming(organization_id), own
        except (NoSubscription, SubscriptionEnded):
            if own is None:
                raise
            return None, own

    async def own(self, organization_id: OrganizationId) -> OwnPreview | None:
        """Our part; None where the plan leaves us nothing to bill."""
        async with self._work.begin(organization_id):
            found = await self._next(organization_id)
            if found is None:
                return None
            terms, tax_rate = found
            bill = await self._rating.rate(organization_id, terms)
            composed = await self._composer.compose(organization_id, new_id(), bill, tax_rate)
            total = composed.totals.total
            available = await self._credits.available(organization_id, bill.currency)
        return OwnPreview(
            period=terms.period,
            lines=tuple(
                PreviewedLine(
                    line.kind,
                    line.description,
                    line.amount,
                    line.shown,
                    line.charge.quantity if line.charge is not None else None,
                    line.charge.unit_amount if line.charge is not None else None,
                )
                for line in bill.lines
            ),
            discount=composed.totals.discount,
            tax=composed.totals.tax,
            total=total,
            credit=min(total, available),
        )

    async def _next(self, organization_id: OrganizationId) -> tuple[Terms, Decimal | None] | None:
        """What is billed next and at which rate: the running window, by the terms of its draft
        where there is one; once it is issued, the window after it."""
        now = self._clock.now()
        at = await self._terms.window(organization_id, now)
        known = await self._own.find_of_window(organization_id, at.start)
        if known is not None and known.status == InvoiceStatus.DRAFT.value:
            invoice, own = await self._own.claim(organization_id, known.id)
            return terms_of(invoice, own), own.tax_rate
        terms = await self._terms.running(organization_id, now, after=at if known else None)
        return (terms, None) if terms is not None else None
