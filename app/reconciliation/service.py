"""Looking for ourselves: what Stripe could not deliver, and what does not agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from app.gateways.stripe.collection import BILLING_INVOICE
from app.gateways.stripe.credit_notes import CreditNotesGateway, StripeCreditNote
from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import StripeGateway, StripeInvoice, StripeSubscription
from app.gateways.stripe.history import HistoryGateway
from app.gateways.stripe.top_ups import BILLING_TOP_UP
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import Clock
from app.kernel.errors import Unavailable
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import Page, PageRequest
from app.reconciliation.domain import (
    Customer,
    DifferenceKind,
    EventInbox,
    Findings,
    HeldInvoice,
    Report,
    invoice_difference,
    subscription_differences,
)
from app.reconciliation.models import Reconciliation
from app.reconciliation.repository import HeldRepository, ReconciliationRepository
from app.subscriptions.service import Report as News
from app.subscriptions.service import SubscriptionMirror, Taken

log = structlog.get_logger(__name__)

DIFFERENCES = Counter(
    "billing_reconciliation_differences_total",
    "What differed from Stripe when it was looked for, by kind.",
    ["kind"],
)

CUSTOMERS_A_RUN = 200
_EVENT_PAGES = 10
_EVENTS_KEPT = timedelta(days=30)
"""As long as Stripe lists them."""
_INVOICES_SINCE = timedelta(days=40)
_MAX_DIFFERENCES = 200


class ReconciliationService:
    """Compares, and has what differs taken in as if Stripe had told of it."""

    def __init__(
        self,
        work: UnitOfWork,
        runs: ReconciliationRepository,
        held: HeldRepository,
        stripe: StripeGateway,
        history: HistoryGateway,
        notes: CreditNotesGateway,
        inbox: EventInbox,
        subscriptions: SubscriptionMirror,
        invoices: InvoiceMirror,
        clock: Clock,
    ) -> None:
        self._work = work
        self._runs = runs
        self._held = held
        self._stripe = stripe
        self._history = history
        self._notes = notes
        self._inbox = inbox
        self._subscriptions = subscriptions
        self._invoices = invoices
        self._clock = clock

    async def reconcile(self, trigger: str, *, customers: int = CUSTOMERS_A_RUN) -> Report:
        """Take in undelivered events and compare some *customers*, from where the last run ended.

        Running it again at once finds nothing new. If Stripe cannot be reached in the middle, the
        report says so, and the next run begins where this one stopped. Raises
        `StripeNotConfigured`.
        """
        self._stripe.require_configured()
        started_at = self._clock.now()
        async with self._work.begin_platform():
            last = await self._runs.find_latest()
            events_after = last.events_after if last else None
            customers_after = last.customers_after if last else None
        findings = Findings()
        error: str | None = None
        try:
            events_after = await self._events(findings, events_after)
            async with self._work.begin_platform():
                batch = await self._held.list_customers(customers_after, customers)
            for customer in batch:
                await self._compare(findings, customer)
                customers_after = customer.id
            if len(batch) < customers:
                customers_after = None
        except Unavailable as trouble:
            error = type(trouble).__name__
        run = Reconciliation(
            id=new_id(),
            started_at=started_at,
            finished_at=self._clock.now(),
            trigger=trigger,
            events=findings.events,
            customers=findings.customers,
            subscriptions=findings.subscriptions,
            invoices=findings.invoices,
            by_kind=dict(findings.by_kind),
            differences=[
                json.loads(json.dumps(asdict(each), default=str))
                for each in findings.differences[:_MAX_DIFFERENCES]
            ],
            error=error,
            events_after=events_after,
            customers_after=customers_after,
        )
        async with self._work.begin_platform():
            self._runs.add(run)
        for kind, count in findings.by_kind.items():
            DIFFERENCES.labels(kind).inc(count)
        speak = log.warning if findings.differences or error else log.info
        speak("reconciliation.done", customers=findings.customers, error=error, **findings.by_kind)
        return run.to_domain()

    async def list(self, request: PageRequest) -> Page[Report]:
        """Reports of past runs, the newest first."""
        async with self._work.begin_platform():
            page = await self._runs.list_for_operators(request)
            return page.map(Reconciliation.to_domain)

    async def _events(self, findings: Findings, after: str | None) -> str | None:
        since = self._clock.now() - _EVENTS_KEPT
        for _ in range(_EVENT_PAGES):
            try:
                page = await self._history.list_undelivered(since, after=after)
            except StripeMissing:
                # The event to go on after is older than what Stripe keeps.
                return None
            for payload in page.payloads:
                findings.events += 1
                if await self._inbox.take_in(payload):
                    event = json.loads(payload)
                    findings.note(
                        DifferenceKind.EVENT_UNDELIVERED, event["id"], theirs=event["type"]
                    )
            after = page.next_after
            if after is None:
                return None
        return after

    async def _compare(self, findings: Findings, customer: Customer) -> None:
        findings.customers += 1
        ticket = await self._subscriptions.take_ticket()
        try:
            found = await self._history.list_subscriptions(customer.stripe_id)
            invoices = await self._history.list_invoices(
                customer.stripe_id, self._clock.now() - _INVOICES_SINCE
            )
        except StripeMissing:
            findings.note(
                DifferenceKind.CUSTOMER_MISSING,
                customer.stripe_id,
                customer.organization_id,
                is_repaired=False,
            )
            return
        theirs = {each.id: each for each in found}
        organization_id = OrganizationId(customer.organization_id)
        async with self._work.begin(organization_id):
            held = await self._held.list_invoices(organization_id)
        notes = {
            invoice.id: await self._notes.list_credit_notes(invoice.id)
            for invoice in invoices
            if invoice.id is not None and _credited(held.get(invoice.id)) != invoice.credited
        }
        async with self._work.begin(organization_id):
            await self._compare_subscriptions(findings, customer, theirs, ticket)
            for invoice in invoices:
                await self._compare_invoice(
                    findings,
                    organization_id,
                    invoice,
                    held,
                    theirs,
                    ticket,
                    notes.get(invoice.id or "", ()),
                )

    async def _compare_subscriptions(
        self,
        findings: Findings,
        customer: Customer,
        theirs: dict[str, StripeSubscription],
        ticket: int,
    ) -> None:
        organization_id = OrganizationId(customer.organization_id)
        held = {
            each.stripe_id: each
            for each in await self._held.list_subscriptions(organization_id, customer.stripe_id)
        }
        for subscription_id, subscription in theirs.items():
            findings.subscriptions += 1
            ours = held.get(subscription_id)
            differences = subscription_differences(ours, subscription)
            if not differences:
                continue
            taken = await self._subscriptions.take(organization_id, News(subscription, ticket))
            if taken is Taken.UNKNOWN_PRICE:
                findings.note(
                    DifferenceKind.PRICE_UNKNOWN,
                    subscription_id,
                    organization_id,
                    is_repaired=False,
                )
                continue
            for kind, mine, truth in differences:
                findings.note(kind, subscription_id, organization_id, ours=mine, theirs=truth)
        for subscription_id, ours in held.items():
            if subscription_id not in theirs and not ours.is_ended:
                findings.note(
                    DifferenceKind.SUBSCRIPTION_NOT_AT_STRIPE,
                    subscription_id,
                    organization_id,
                    ours=ours.status,
                    is_repaired=False,
                )

    async def _compare_invoice(
        self,
        findings: Findings,
        organization_id: UUID,
        invoice: StripeInvoice,
        held: dict[str, HeldInvoice],
        theirs: dict[str, StripeSubscription],
        ticket: int,
        notes: Sequence[StripeCreditNote],
    ) -> None:
        findings.invoices += 1
        if invoice.id is None or BILLING_INVOICE in invoice.metadata:
            return  # what collects one of our own invoices is no document beside it
        if BILLING_TOP_UP in invoice.metadata:
            # Nor is what pays for credit; the top-up may not have heard of it.
            await self._invoices.record(OrganizationId(organization_id), invoice)
            return
        different = invoice_difference(held.get(invoice.id), invoice)
        if different is None:
            return
        owner = OrganizationId(organization_id)
        stands = await self._invoices.record(owner, invoice, ticket=ticket, notes=notes)
        subscription = theirs.get(invoice.subscription_id or "")
        if subscription is not None and stands == invoice.status:
            await self._subscriptions.take(owner, News(subscription, ticket, invoice))
        kind, mine, truth = different
        findings.note(kind, invoice.id, organization_id, ours=mine, theirs=truth)


def _credited(held: HeldInvoice | None) -> int:
    return held.credited if held is not None else 0
