"""Runs, and a look at what others hold of Stripe's objects. Only looks: others write their own."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select

from app.infra.db.repository import Repository
from app.invoices.models import Invoice
from app.invoices.models_notes import StripeNote
from app.kernel.pages import Page, PageRequest
from app.reconciliation.domain import Customer, HeldInvoice, HeldSubscription
from app.reconciliation.models import Reconciliation
from app.subscriptions.domain import ENDED
from app.subscriptions.models import CustomerRegistration, Subscription


class ReconciliationRepository(Repository):
    """The table of `models.py`."""

    platform = True

    def add(self, run: Reconciliation) -> None:
        self.session.add(run)

    async def find_latest(self) -> Reconciliation | None:
        query = select(Reconciliation).order_by(Reconciliation.id.desc()).limit(1)
        return await self.session.scalar(query)

    async def list_for_operators(self, request: PageRequest) -> Page[Reconciliation]:
        return await self.page(
            select(Reconciliation), request, Reconciliation.id, lambda run: run.id
        )


class HeldRepository(Repository):
    """What is held here of the objects that Stripe has."""

    platform = True

    async def list_customers(self, after: UUID | None, limit: int) -> list[Customer]:
        """Customers in a fixed order, those too that were replaced since."""
        query = select(CustomerRegistration).where(
            CustomerRegistration.stripe_customer_id.is_not(None)
        )
        if after is not None:
            query = query.where(CustomerRegistration.id > after)
        found = await self.session.scalars(query.order_by(CustomerRegistration.id).limit(limit))
        return [
            Customer(row.id, row.organization_id, row.stripe_customer_id or "")
            for row in found.all()
        ]

    async def list_subscriptions(
        self, organization_id: UUID, stripe_customer_id: str
    ) -> list[HeldSubscription]:
        query = select(Subscription).where(
            Subscription.organization_id == organization_id,
            Subscription.stripe_customer_id == stripe_customer_id,
        )
        return [
            HeldSubscription(
                row.stripe_subscription_id,
                row.status,
                row.price_id,
                row.period_start,
                row.period_end,
                row.cancel_at,
                row.cancel_at_period_end,
                row.status in ENDED,
            )
            for row in (await self.session.scalars(query)).all()
        ]

    async def list_invoices(self, organization_id: UUID) -> dict[str, HeldInvoice]:
        credited = (
            select(func.coalesce(func.sum(StripeNote.total), 0))
            .where(
                StripeNote.organization_id == Invoice.organization_id,
                StripeNote.invoice_id == Invoice.id,
                StripeNote.voided_at.is_(None),
            )
            .scalar_subquery()
        )
        query = select(
            Invoice.stripe_invoice_id,
            Invoice.status,
            Invoice.amount_due,
            Invoice.amount_paid,
            credited,
        ).where(Invoice.organization_id == organization_id, Invoice.stripe_invoice_id.is_not(None))
        return {
            str(row[0]): HeldInvoice(str(row[0]), row[1], row[2], row[3], int(row[4]))
            for row in (await self.session.execute(query)).all()
        }
