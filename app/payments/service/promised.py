"""Sending back at Stripe what credit notes promise."""

from __future__ import annotations

from uuid import UUID

import structlog

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import PromisedRefund, RefundState
from app.invoices.service.notes import NotePromises
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId, encode_id
from app.payments import domain
from app.payments.domain import RefundRequest, RefundStatus
from app.payments.errors import (
    AlreadyRefunded,
    ChargeNotPaid,
    InvoiceWithoutCharge,
    RefundNotFound,
    RefundTooLarge,
)
from app.payments.service.refunds import RefundService
from app.payments.service.reports import PaymentReports

log = structlog.get_logger(__name__)

_BATCH = 100

_STATES = {
    RefundStatus.REQUESTED.value: RefundState.REQUESTED,
    RefundStatus.PENDING.value: RefundState.PENDING,
    RefundStatus.REQUIRES_ACTION.value: RefundState.PENDING,
    RefundStatus.SUCCEEDED.value: RefundState.MADE,
    RefundStatus.FAILED.value: RefundState.FAILED,
    RefundStatus.CANCELED.value: RefundState.FAILED,
    RefundStatus.REFUSED.value: RefundState.FAILED,
}


class PromisedRefunds:
    """A note's refund has the note's id, so it is made once however often it is asked for."""

    def __init__(
        self,
        work: UnitOfWork,
        promises: NotePromises,
        refunds: RefundService,
        reports: PaymentReports,
    ) -> None:
        self._work = work
        self._promises = promises
        self._refunds = refunds
        self._reports = reports

    async def keep(self, organization_id: OrganizationId, note_id: UUID) -> None:
        """Send a note's refund, if it still waits. Raises `Unavailable` while Stripe is away.

        What cannot be sent, for good, is told to operators; the note says why.
        """
        promised = await self._promises.find(organization_id, note_id)
        if promised is None:
            return
        try:
            await self._make(promised)
        except Unavailable:
            raise
        except BillingError as refusal:
            log.warning("payments.promise_broken", credit_note_id=note_id, reason=refusal.code)
            await self._promises.take(
                organization_id, note_id, RefundState.FAILED, failure=refusal.code
            )
            return
        await self.follow(organization_id, note_id)

    async def keep_all(self) -> None:
        """Send whatever still waits: Stripe may have been away for longer than a job tries."""
        for organization_id, note_id in await self._promises.due(_BATCH):
            try:
                await self.keep(organization_id, note_id)
            except Unavailable as failure:
                log.warning("payments.promise_waits", credit_note_id=note_id, reason=failure.code)
                return

    async def follow(self, organization_id: OrganizationId, refund_id: UUID) -> None:
        """Let a note know how its refund stands; another refund's id belongs to no note."""
        async with self._work.begin(organization_id):
            try:
                refund = await self._refunds.get(refund_id)
            except RefundNotFound:
                return
            await self._promises.take(
                organization_id,
                refund_id,
                # A status that Stripe invents is taken for money under way.
                _STATES.get(refund.status, RefundState.PENDING),
                at=refund.created_at,
                failure=refund.failure_reason,
            )

    async def _make(self, promised: PromisedRefund) -> domain.Refund:
        """Of the first charge that has as much left; several paid only where one was a part."""
        charges = await self._reports.charges_of(promised.stripe_invoice_id)
        refusal: BillingError = InvoiceWithoutCharge()
        for charge_id in charges:
            try:
                return await self._refunds.make(
                    RefundRequest(
                        reason=f"credit note {promised.number}",
                        stripe_charge_id=charge_id,
                        amount=promised.amount,
                        refund_id=promised.note_id,
                    ),
                    actor=f"credit_note:{encode_id('crn', promised.note_id)}",
                )
            except (AlreadyRefunded, ChargeNotPaid, RefundTooLarge) as error:
                refusal = error
        raise refusal
