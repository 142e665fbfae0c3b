"""Collecting through Stripe what our own invoices ask for, in three beats."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog

from app.gateways.stripe.collection import CollectionGateway, CollectionOrder
from app.gateways.stripe.errors import StripeRefused
from app.gateways.stripe.gateway import StripeInvoice
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import CollectionState, InvoiceStatus, PaymentProblem
from app.invoices.events import OwnPaymentActionRequired, OwnPaymentFailed, OwnPaymentRecovered
from app.invoices.models import Invoice, InvoiceRequest, OwnInvoice
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.desk import OPEN, InvoiceDesk
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.organizations.service import OrganizationService
from app.subscriptions.service import SubscriptionService

log = structlog.get_logger(__name__)


class InvoiceCollecting:
    """Stripe's invoice is the way to pay ours, not a second document: it is never listed."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        collections: CollectionRepository,
        desk: InvoiceDesk,
        organizations: OrganizationService,
        subscriptions: SubscriptionService,
        stripe: CollectionGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._own = own
        self._collections = collections
        self._desk = desk
        self._organizations = organizations
        self._subscriptions = subscriptions
        self._stripe = stripe
        self._clock = clock

    async def collect(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Ask Stripe for what an issued invoice of ours still asks for, if that is how it is paid.

        Repeating it, also after a crash between two beats, makes no second request for money.
        """
        if await self._customer(organization_id, invoice_id) is None:
            return
        saved = await self._subscriptions.payment_methods(organization_id)
        default = next((method.id for method in saved if method.is_default), None)
        reserved = await self._reserve(organization_id, invoice_id, default)
        if reserved is None:
            return
        collection_id, order = reserved
        made = await self._stripe.collect(order, key=f"collection:{collection_id}")
        await self.take(organization_id, invoice_id, made)

    async def stop(self, organization_id: OrganizationId, invoice_id: UUID) -> None:
        """Let Stripe ask for nothing more, once ours is void or was paid another way."""
        async with self._work.begin(organization_id):
            collection = await self._collections.claim(organization_id, invoice_id)
            if collection is None or collection.state != CollectionState.OPEN:
                return
            invoice, _ = await self._own.claim(organization_id, invoice_id)
            if invoice.status in OPEN or collection.stripe_invoice_id is None:
                return
            stripe_invoice_id, key = collection.stripe_invoice_id, f"collection:{collection.id}"
        try:
            stopped = await self._stripe.stop(stripe_invoice_id, key=key)
        except StripeRefused:
            # It was paid or void before; the webhook tells which.
            return
        await self.take(organization_id, invoice_id, stopped)

    async def take(
        self,
        organization_id: OrganizationId,
        invoice_id: UUID,
        told: StripeInvoice,
        *,
        failed_at: datetime | None = None,
        asks_action: bool = False,
    ) -> None:
        """What became of Stripe's invoice; joins the unit around it. Order does not matter.

        *failed_at* where the news is that an attempt failed, *asks_action* where the customer's
        bank wants a confirmation: told to people once an attempt, by whichever news comes first,
        and never after the end. No subscription's grace begins with it (decision 0909).
        """
        async with self._work.begin(organization_id):
            collection = await self._collections.claim(organization_id, invoice_id)
            if collection is None or collection.state in CollectionState.over():
                return
            invoice, own = await self._own.claim(organization_id, invoice_id)
            collection.stripe_invoice_id = told.id
            collection.state = CollectionState.OPEN.value
            invoice.hosted_invoice_url = told.hosted_url
            if told.attempt_count >= invoice.attempt_count:
                invoice.attempt_count = told.attempt_count
                invoice.next_attempt_at = told.next_attempt_at
            if told.status == InvoiceStatus.PAID:
                collection.state = CollectionState.PAID.value
                invoice.next_attempt_at = own.payment_problem = None
                self._pay(invoice, told)
                if collection.attempt >= 0:
                    self._work.announce(
                        OwnPaymentRecovered(organization_id, invoice_id, told.id or "")
                    )
            elif told.status == InvoiceStatus.VOID:
                collection.state = CollectionState.VOID.value
                invoice.next_attempt_at = own.payment_problem = None
            elif invoice.status not in OPEN:
                self._work.enqueue(
                    "invoices.stop_collecting",
                    {"organization_id": organization_id, "invoice_id": invoice_id},
                )
            else:
                if told.status == InvoiceStatus.UNCOLLECTIBLE:
                    invoice.status = InvoiceStatus.UNCOLLECTIBLE.value
                if failed_at is not None and told.attempt_count >= invoice.attempt_count:
                    self._fail(collection, invoice, own, told, failed_at, asks_action=asks_action)

    def _fail(
        self,
        collection: InvoiceRequest,
        invoice: Invoice,
        own: OwnInvoice,
        told: StripeInvoice,
        failed_at: datetime,
        *,
        asks_action: bool,
    ) -> None:
        is_news = told.attempt_count > collection.attempt
        if asks_action:
            own.payment_problem = PaymentProblem.ACTION_REQUIRED.value
        elif is_news:
            own.payment_problem = PaymentProblem.FAILED.value
        if not is_news:
            return
        collection.attempt = told.attempt_count
        if asks_action:
            self._work.announce(
                OwnPaymentActionRequired(
                    organization_id=invoice.organization_id,
                    invoice_id=invoice.id,
                    stripe_invoice_id=told.id or "",
                    amount_due=told.amount_remaining,
                    currency=told.currency,
                    pay_url=told.hosted_url,
                )
            )
            return
        self._work.announce(
            OwnPaymentFailed(
                organization_id=invoice.organization_id,
                invoice_id=invoice.id,
                stripe_invoice_id=told.id or "",
                attempt=told.attempt_count,
                failed_at=failed_at,
                amount_due=told.amount_remaining,
                currency=told.currency,
                next_attempt_at=told.next_attempt_at,
                pay_url=told.hosted_url,
            )
        )

    def _pay(self, invoice: Invoice, told: StripeInvoice) -> None:
        if invoice.status not in OPEN or told.amount_paid > invoice.amount_remaining:
            # Money came twice, or after it was declared void: a person gives it back.
            log.error(
                "invoices.paid_too_much",
                organization_id=invoice.organization_id,
                invoice_id=invoice.id,
                stripe_invoice_id=told.id,
                amount=told.amount_paid,
            )
            return
        at = told.paid_at or self._clock.now()
        self._desk.take(invoice, "stripe", told.amount_paid, told.id, at)

    async def _customer(self, organization_id: OrganizationId, invoice_id: UUID) -> str | None:
        """Who is to pay at Stripe; None where the invoice is not paid there, or not any more."""
        async with self._work.begin(organization_id):
            found = await self._own.find(organization_id, invoice_id)
            if found is None:
                return None
            invoice, own = found
            if invoice.status not in OPEN or own.collection != "stripe":
                return None
            return (await self._organizations.get(organization_id)).stripe_customer_id

    async def _reserve(
        self, organization_id: OrganizationId, invoice_id: UUID, payment_method_id: str | None
    ) -> tuple[UUID, CollectionOrder] | None:
        async with self._work.begin(organization_id):
            customer_id = await self._customer(organization_id, invoice_id)
            if customer_id is None:
                return None
            invoice, _ = await self._own.claim(organization_id, invoice_id)
            request = await self._collections.open_or_reuse(
                organization_id,
                InvoiceRequest(
                    id=new_id(),
                    invoice_id=invoice_id,
                    state=CollectionState.RESERVED.value,
                    amount=invoice.amount_remaining,
                    stripe_customer_id=customer_id,
                    payment_method_id=payment_method_id,
                    attempt=-1,
                    created_at=self._clock.now(),
                ),
            )
            if request.state != CollectionState.RESERVED:
                return None
            # From the row, not as things are now: a key that comes again says the same.
            return request.id, CollectionOrder(
                customer_id=request.stripe_customer_id,
                payment_method_id=request.payment_method_id,
                amount=request.amount,
                currency=invoice.currency,
                description=f"Invoice {invoice.number}",
                invoice=encode_id("inv", invoice_id),
            )
