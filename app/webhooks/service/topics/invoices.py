"""Invoices, and what their payment or its failure means for the subscription."""

from __future__ import annotations

from collections.abc import Mapping

from app.credits.service.top_ups import TopUpDesk
from app.gateways.stripe.credit_notes import CreditNotesGateway
from app.gateways.stripe.errors import StripeMissing
from app.gateways.stripe.gateway import StripeGateway
from app.gateways.stripe.top_ups import ChargeRefusal
from app.invoices.service.mirror import InvoiceMirror
from app.subscriptions.service import Report, SubscriptionMirror
from app.subscriptions.service.known import KnownAtStripe
from app.webhooks.domain import HANDLED, Outcome, PendingEvent
from app.webhooks.service.topics.answers import (
    FOREIGN,
    GONE,
    NO_OBJECT,
    Apply,
    Handler,
    outcome_of,
    settled,
)

INVOICE_EVENTS = (
    "invoice.created",
    "invoice.updated",
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
)
CREDIT_NOTE_EVENTS = ("credit_note.created", "credit_note.updated", "credit_note.voided")
ACTION_REQUIRED = "invoice.payment_action_required"
FAILURES = frozenset({"invoice.payment_failed", ACTION_REQUIRED})


class InvoiceTopic:
    """Asks for the invoice with its credit notes, and its subscription, and hands them over."""

    def __init__(
        self,
        stripe: StripeGateway,
        known: KnownAtStripe,
        mirror: SubscriptionMirror,
        invoices: InvoiceMirror,
        top_ups: TopUpDesk,
        notes: CreditNotesGateway,
    ) -> None:
        self._notes = notes
        self._top_ups = top_ups
        self._stripe = stripe
        self._known = known
        self._mirror = mirror
        self._invoices = invoices

    def table(self) -> Mapping[str, Handler]:
        return {
            **dict.fromkeys(INVOICE_EVENTS, self.invoice_changed),
            **dict.fromkeys(CREDIT_NOTE_EVENTS, self.credit_note_changed),
        }

    async def credit_note_changed(self, event: PendingEvent) -> Apply:
        if event.object_id is None:
            return settled(NO_OBJECT)
        try:
            note = await self._notes.get_credit_note(event.object_id)
        except StripeMissing:
            return settled(GONE)
        return await self._look_at(note.invoice_id, event)

    async def invoice_changed(self, event: PendingEvent) -> Apply:
        if event.object_id is None:
            return settled(NO_OBJECT)
        return await self._look_at(event.object_id, event)

    async def _look_at(self, invoice_id: str, event: PendingEvent) -> Apply:
        ticket = await self._mirror.take_ticket()
        try:
            invoice = await self._stripe.get_invoice(invoice_id)
            has_notes = event.kind in CREDIT_NOTE_EVENTS or invoice.credited
            notes = await self._notes.list_credit_notes(invoice_id) if has_notes else ()
            subscription = (
                await self._stripe.get_subscription(invoice.subscription_id)
                if invoice.subscription_id is not None
                else None
            )
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            organization_id = invoice.customer_id and await self._known.find_owner(
                invoice.customer_id
            )
            if not organization_id:
                return FOREIGN
            failed_at = event.occurred_at if event.kind in FAILURES else None
            asks_action = event.kind == ACTION_REQUIRED
            stands = await self._invoices.record(
                organization_id,
                invoice,
                failed_at=failed_at,
                asks_action=asks_action,
                ticket=ticket,
                notes=notes,
            )
            if event.kind in FAILURES:
                await self._top_ups.note_failure(organization_id, invoice, _refusal(event))
            if subscription is None:
                return HANDLED
            # An answer that was long on its way may show an invoice as open that was paid since.
            # Its failure would outlive the payment and shorten the grace of a later one.
            is_latest = stands == invoice.status
            report = Report(
                subscription,
                ticket,
                invoice if is_latest else None,
                failed_at,
                asks_action=asks_action,
            )
            return outcome_of(await self._mirror.take(organization_id, report))

        return apply


def _refusal(event: PendingEvent) -> ChargeRefusal:
    asks = event.kind == ACTION_REQUIRED
    return ChargeRefusal.ACTION_REQUIRED if asks else ChargeRefusal.DECLINED
