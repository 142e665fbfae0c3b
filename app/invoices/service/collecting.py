"""Collecting through Stripe what our own invoices ask for, in three beats."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog

from app.gateways.stripe.collection import CollectionGateway, CollectionOrder
from app.gateways.stripe.errors import StripeRefused
from app.gateways.stripe.gateway import StripeInvoice
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import CollectionState, CreditLedger, InvoiceStatus, PaymentProblem
from app.invoices.events import (
    OwnPaymentActionRequired,
    OwnPaymentFailed,
    OwnPaymentRecovered,
    PaidTooMuch,
)
from app.invoices.models import Invoice, InvoiceRequest, OwnInvoice
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.own import OwnInvoiceRepository
from app.invoices.service.desk import OPEN, InvoiceDesk
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money
from app.organizations.service import OrganizationService
from app.subscriptions.service import SubscriptionService

log = structlog.get_logger(__name__)


class InvoiceCollecting:
    """Stripe's invoice is the way to pay ours, not a second document: it is never listed.

    Every unit locks our invoice first, then its requests.
    """

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        collections: CollectionRepository,
        desk: InvoiceDesk,
        credits: CreditLedger,
        organizations: OrganizationService,
        subscriptions: SubscriptionService,
        stripe: CollectionGateway,
        clock: Clock,
    ) -> None:
        self._work = work
        self._own = own
        self._collections = collections
        self._desk = desk
        self._credits = credits
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
        """Let Stripe ask for nothing but what is owed: another amount is void, and asked for anew.

        What is stopped is written down first, so that a crash leaves nothing half done.
        """
        async with self._work.begin(organization_id):
            found = await self._own.find(organization_id, invoice_id)
            if found is None:
                return
            requests = await self._collections.claim_all(organization_id, invoice_id)
            for request in requests:
                if request.state == CollectionState.OPEN and request.amount != _owed(found[0]):
                    request.state = CollectionState.STOPPING.value
            stopping = [
                (request.stripe_invoice_id, f"collection:{request.id}")
                for request in requests
                if request.state == CollectionState.STOPPING
                and request.stripe_invoice_id is not None
            ]
        for stripe_invoice_id, key in stopping:
            try:
                stopped = await self._stripe.stop(stripe_invoice_id, key=key)
            except StripeRefused:
                # It was paid or void before; the webhook tells which.
                continue
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
            found = await self._own.find(organization_id, invoice_id)
            if found is None:
                return
            invoice, own = found
            requests = await self._collections.claim_all(organization_id, invoice_id)
            request = await self._told_of(organization_id, invoice_id, requests, told)
            if request is None or request.state in CollectionState.over():
                return
            request.stripe_invoice_id = told.id
            if told.status == InvoiceStatus.DRAFT:
                # Whoever makes it is not done, and goes on if it has to begin again.
                return
            if told.status == InvoiceStatus.PAID:
                await self._pay(invoice, request, told)
                if any(one.attempt >= 0 for one in requests):
                    self._work.announce(
                        OwnPaymentRecovered(organization_id, invoice_id, told.id or "")
                    )
            elif told.status == InvoiceStatus.VOID:
                is_ours = request.state == CollectionState.STOPPING
                request.state = (CollectionState.STOPPED if is_ours else CollectionState.VOID).value
            elif request.state == CollectionState.RESERVED:
                request.state = CollectionState.OPEN.value
            _show(invoice, own, request, requests, told)
            if request.state == CollectionState.OPEN and invoice.status in OPEN:
                if told.status == InvoiceStatus.UNCOLLECTIBLE:
                    invoice.status = InvoiceStatus.UNCOLLECTIBLE.value
                if failed_at is not None and told.attempt_count >= invoice.attempt_count:
                    self._fail(request, invoice, own, told, failed_at, asks_action=asks_action)
            self._go_on(invoice, request, requests)

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

    async def _told_of(
        self,
        organization_id: OrganizationId,
        invoice_id: UUID,
        requests: list[InvoiceRequest],
        told: StripeInvoice,
    ) -> InvoiceRequest | None:
        """The request that *told* is of: known by its id, or the one whose answer is not here yet.

        Any other was made after Stripe forgot a key, or by hand: it joins them, to be stopped.
        """
        for request in requests:
            if request.stripe_invoice_id == told.id:
                return request
        for request in requests:
            if request.state == CollectionState.RESERVED and request.stripe_invoice_id is None:
                return request
        if not requests or told.status == InvoiceStatus.VOID or told.total <= 0:
            return None
        log.warning("invoices.asked_for_twice", invoice_id=invoice_id, stripe_invoice_id=told.id)
        surprise = InvoiceRequest(
            organization_id=organization_id,
            id=new_id(),
            invoice_id=invoice_id,
            state=CollectionState.STOPPING.value,
            amount=told.total,
            surplus=0,
            attempt=-1,
            stripe_customer_id=told.customer_id or "",
            payment_method_id=None,
            stripe_invoice_id=told.id,
            created_at=self._clock.now(),
        )
        await self._collections.add(surprise)
        requests.append(surprise)
        return surprise

    async def _pay(self, invoice: Invoice, request: InvoiceRequest, told: StripeInvoice) -> None:
        """Put what was paid on ours; what is more than it asks for becomes credit."""
        # The customer's balance at Stripe may have paid a part or been collected along, and too
        # little to charge is added to it: ours is settled by what was asked for.
        money = told.total if told.total == request.amount else told.amount_paid
        if money <= 0:
            # It was finalized before it said what for.
            request.state = CollectionState.STOPPED.value
            return
        request.state = CollectionState.PAID.value
        request.amount = money
        taken = min(money, _owed(invoice))
        if taken:
            at = told.paid_at or self._clock.now()
            self._desk.take(invoice, "stripe", taken, told.id, at)
        request.surplus = money - taken
        if request.surplus:
            # Money came twice, or after it was declared void.
            owner = OrganizationId(invoice.organization_id)
            surplus = Money(request.surplus, Currency(invoice.currency))
            await self._credits.keep_surplus(owner, request.id, surplus)
            self._work.announce(
                PaidTooMuch(
                    organization_id=owner,
                    invoice_id=invoice.id,
                    number=invoice.number or "",
                    amount=request.surplus,
                    currency=invoice.currency,
                    stripe_invoice_id=told.id or "",
                )
            )

    def _go_on(
        self, invoice: Invoice, request: InvoiceRequest, requests: list[InvoiceRequest]
    ) -> None:
        """Have done, by a job, what is to be asked of Stripe after what was told of *request*."""
        owed = _owed(invoice)
        job = None
        if any(
            one.state == CollectionState.STOPPING
            or (one.state == CollectionState.OPEN and one.amount != owed)
            for one in requests
        ):
            job = "invoices.stop_collecting"
        elif owed and request.state in {CollectionState.STOPPED.value, CollectionState.PAID.value}:
            job = "invoices.collect"
        if job is not None:
            self._work.enqueue(
                job, {"organization_id": invoice.organization_id, "invoice_id": invoice.id}
            )

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
            earlier = await self._collections.claim_all(organization_id, invoice_id)
            if any(one.state in CollectionState.not_followed() for one in earlier):
                return None
            request = await self._collections.open_or_reuse(
                organization_id,
                InvoiceRequest(
                    id=new_id(),
                    invoice_id=invoice_id,
                    state=CollectionState.RESERVED.value,
                    amount=invoice.amount_remaining,
                    surplus=0,
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


def _owed(invoice: Invoice) -> int:
    return invoice.amount_remaining if invoice.status in OPEN else 0


def _show(
    invoice: Invoice,
    own: OwnInvoice,
    request: InvoiceRequest,
    requests: list[InvoiceRequest],
    told: StripeInvoice,
) -> None:
    """Let ours say how collecting it goes: by the request that asks, or that was paid."""
    if request.state in {CollectionState.OPEN.value, CollectionState.PAID.value}:
        invoice.hosted_invoice_url = told.hosted_url
        if told.attempt_count >= invoice.attempt_count:
            invoice.attempt_count = told.attempt_count
            invoice.next_attempt_at = told.next_attempt_at
    if any(one.state in CollectionState.asking() for one in requests):
        return
    invoice.next_attempt_at = own.payment_problem = None
    if request.state != CollectionState.PAID and _owed(invoice):
        # Nobody can pay there any more, and the attempts of the next request count from one.
        invoice.hosted_invoice_url = None
        invoice.attempt_count = 0
