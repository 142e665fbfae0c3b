"""Charges, and the money that goes back: refunds and disputes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from app.gateways.stripe.errors import StripeMissing
from app.payments.domain import PaymentReport
from app.payments.service import PaymentMirror, PaymentReports
from app.subscriptions.service.known import KnownAtStripe
from app.webhooks.domain import HANDLED, Outcome, PendingEvent
from app.webhooks.service.topics.answers import (
    FOREIGN,
    GONE,
    NO_OBJECT,
    Apply,
    Handler,
    settled,
)

CHARGE_EVENTS = (
    "charge.succeeded",
    "charge.failed",
    "charge.pending",
    "charge.updated",
    "charge.refunded",
)
REFUND_EVENTS = (
    "refund.created",
    "refund.updated",
    "refund.failed",
    # What refunds of charges were told as before 2024-10.
    "charge.refund.updated",
)
DISPUTE_EVENTS = (
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)

Ask = Callable[[str], Awaitable[PaymentReport | None]]


class PaymentTopic:
    """Asks for the charge with all that belongs to it, from whichever end it is heard of."""

    def __init__(
        self, reports: PaymentReports, known: KnownAtStripe, payments: PaymentMirror
    ) -> None:
        self._reports = reports
        self._known = known
        self._payments = payments

    def table(self) -> Mapping[str, Handler]:
        return {
            **dict.fromkeys(CHARGE_EVENTS, self.charge_changed),
            **dict.fromkeys(REFUND_EVENTS, self.refund_changed),
            **dict.fromkeys(DISPUTE_EVENTS, self.dispute_changed),
        }

    async def charge_changed(self, event: PendingEvent) -> Apply:
        return await self._look_at(event.object_id, self._reports.of_charge)

    async def refund_changed(self, event: PendingEvent) -> Apply:
        return await self._look_at(event.object_id, self._reports.of_refund)

    async def dispute_changed(self, event: PendingEvent) -> Apply:
        return await self._look_at(event.object_id, self._reports.of_dispute)

    async def _look_at(self, object_id: str | None, ask: Ask) -> Apply:
        if object_id is None:
            return settled(NO_OBJECT)
        try:
            found = await ask(object_id)
        except StripeMissing:
            return settled(GONE)
        if found is None or found.customer_id is None:
            return settled(FOREIGN)
        report, customer_id = found, found.customer_id

        async def apply() -> Outcome:
            organization_id = await self._known.find_owner(customer_id)
            if organization_id is None:
                return FOREIGN
            await self._payments.take(organization_id, report)
            return HANDLED

        return apply
