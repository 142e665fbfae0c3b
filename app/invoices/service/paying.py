"""How what an invoice asks for is going to be paid."""

from __future__ import annotations

from enum import StrEnum

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import Invoice
from app.invoices.repository.collections import CollectionRepository
from app.kernel.errors import Unavailable
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.subscriptions.service import SubscriptionService


class WayToPay(StrEnum):
    """What the customer has to do about it."""

    CHARGE = "charge"
    """Nothing: the saved card or account is charged."""
    PAGE = "page"
    """Pay on Stripe's page, which the invoice's own page leads to as soon as there is one."""
    TRANSFER = "transfer"


class WaysToPay:
    """Asked while an invoice is open; only reads."""

    def __init__(
        self,
        work: UnitOfWork,
        collections: CollectionRepository,
        organizations: OrganizationService,
        subscriptions: SubscriptionService,
    ) -> None:
        self._work = work
        self._collections = collections
        self._organizations = organizations
        self._subscriptions = subscriptions

    async def of(self, organization_id: OrganizationId, invoice: Invoice) -> WayToPay:
        """What was asked of Stripe says it; before that, whether there is something to charge."""
        if invoice.own is None:
            return WayToPay.CHARGE if invoice.due_at is None else WayToPay.PAGE
        if invoice.own.collection != "stripe":
            return WayToPay.TRANSFER
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            request = await self._collections.asking(organization_id, invoice.id)
        if organization.stripe_customer_id is None:
            return WayToPay.TRANSFER
        if request is not None:
            return WayToPay.CHARGE if request.payment_method_id else WayToPay.PAGE
        try:
            saved = await self._subscriptions.payment_methods(organization_id)
        except Unavailable:
            # The page is right in either case: there it is seen how it goes on.
            return WayToPay.PAGE
        return WayToPay.CHARGE if any(method.is_default for method in saved) else WayToPay.PAGE
