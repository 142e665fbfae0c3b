"""Keeping charges, refunds and disputes as Stripe has them, whatever order they are heard of in."""

from __future__ import annotations

from typing import Any

import structlog

from app.gateways.stripe.payments import StripeDispute, StripeRefund
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import MalformedId, OrganizationId, decode_id, id_at
from app.payments.domain import (
    REFUND_NAME,
    PaymentReport,
    RefundStatus,
    is_inquiry,
    is_open,
    went_back,
)
from app.payments.events import DisputeClosed, DisputeOpened, RefundFailed, RefundMade
from app.payments.models import Charge, Dispute, Refund
from app.payments.repository import PaymentRepository
from app.payments.service.standing import DisputeStanding

log = structlog.get_logger(__name__)


class PaymentMirror:
    """Writes what Stripe says and announces what is new in it. Joins the unit around it."""

    def __init__(
        self,
        work: UnitOfWork,
        payments: PaymentRepository,
        standing: DisputeStanding,
        clock: Clock,
    ) -> None:
        self._work = work
        self._payments = payments
        self._standing = standing
        self._clock = clock

    async def take(self, organization_id: OrganizationId, report: PaymentReport) -> bool:
        """Make a report true here; False for one that a later question has overtaken.

        Amounts are Stripe's own totals, never added up from events, so a repeat changes nothing
        and announces nothing.
        """
        async with self._work.begin(organization_id):
            await self._payments.lock(organization_id)
            charge = await self._payments.claim_or_add_charge(
                organization_id, report.charge.id, self._figures(report)
            )
            if charge.applied_ticket >= report.ticket:
                return False
            for name, value in self._figures(report).items():
                setattr(charge, name, value)
            charge.applied_ticket = report.ticket
            known = await self._payments.list_refunds(organization_id, charge.id)
            for refund in report.refunds:
                await self._take_refund(charge, known, refund)
            disputes = await self._payments.list_disputes(organization_id, charge.id)
            for dispute in report.disputes:
                await self._take_dispute(charge, disputes, dispute)
            await self._standing.review(organization_id)
            return True

    async def settle(self, refund: Refund, made: StripeRefund) -> None:
        """Take Stripe's answer to a refund that was asked for here, unless it is known already."""
        if refund.status == RefundStatus.REQUESTED:
            self._copy_refund(refund, made)

    def _figures(self, report: PaymentReport) -> dict[str, Any]:
        charge = report.charge
        figures = {
            "stripe_payment_intent_id": charge.payment_intent_id,
            "stripe_customer_id": charge.customer_id,
            "amount": charge.amount,
            "amount_refunded": charge.amount_refunded,
            "currency": charge.currency,
            "status": charge.status,
            "is_disputed": charge.is_disputed,
            "description": charge.description,
            "failure_code": charge.failure_code,
            "failure_message": charge.failure_message,
            "created_at": charge.created_at,
            "synced_at": self._clock.now(),
        }
        if report.stripe_invoice_id is not None:
            figures["stripe_invoice_id"] = report.stripe_invoice_id
        return figures

    async def _take_refund(self, charge: Charge, known: list[Refund], seen: StripeRefund) -> None:
        row = _found(known, seen)
        if row is None:
            row = Refund(
                organization_id=charge.organization_id,
                id=id_at(seen.created_at),
                charge_id=charge.id,
                amount=seen.amount,
                currency=seen.currency,
                status=RefundStatus.REQUESTED.value,
                reason=seen.reason,
                failure_reason=None,
                requested_by=None,
                created_at=seen.created_at,
                attempts=0,
                next_attempt_at=None,
            )
            self._copy_refund(row, seen)
            await self._payments.add_refund(OrganizationId(charge.organization_id), row)
            return
        self._copy_refund(row, seen)

    def _copy_refund(self, row: Refund, seen: StripeRefund) -> None:
        before = row.status
        row.stripe_refund_id = seen.id
        row.amount = seen.amount
        row.status = seen.status
        row.failure_reason = seen.failure_reason
        row.next_attempt_at = None
        if went_back(seen.status) == went_back(before) and before != RefundStatus.REQUESTED:
            return
        fact = RefundMade if went_back(seen.status) else RefundFailed
        self._work.announce(fact(row.organization_id, row.id, row.amount, row.currency))

    async def _take_dispute(
        self, charge: Charge, known: list[Dispute], seen: StripeDispute
    ) -> None:
        row = next((one for one in known if one.stripe_dispute_id == seen.id), None)
        before = row.status if row is not None else None
        if row is None:
            row = Dispute(
                organization_id=charge.organization_id,
                id=id_at(seen.created_at),
                charge_id=charge.id,
                stripe_dispute_id=seen.id,
                opened_at=seen.created_at,
                has_suspended=False,
            )
            _copy_dispute(row, seen)
            await self._payments.add_dispute(OrganizationId(charge.organization_id), row)
        else:
            _copy_dispute(row, seen)
        self._announce(row, before)

    def _announce(self, row: Dispute, before: str | None) -> None:
        was_open = before is not None and is_open(before)
        # An inquiry that becomes a dispute is opened a second time: now money is at stake.
        escalated = before is not None and is_inquiry(before) and not is_inquiry(row.status)
        if is_open(row.status) and (not was_open or escalated):
            self._work.announce(
                DisputeOpened(
                    organization_id=row.organization_id,
                    dispute_id=row.id,
                    amount=row.amount,
                    currency=row.currency,
                    reason=row.reason,
                    is_inquiry=is_inquiry(row.status),
                )
            )
            log.warning(
                "payments.disputed",
                organization_id=str(row.organization_id),
                stripe_dispute_id=row.stripe_dispute_id,
                status=row.status,
                reason=row.reason,
            )
        # A bank may think better of it: one that was lost is won, and so ends a second time.
        if not is_open(row.status) and before != row.status:
            self._work.announce(DisputeClosed(row.organization_id, row.id, row.status))


def _copy_dispute(row: Dispute, seen: StripeDispute) -> None:
    row.amount = seen.amount
    row.currency = seen.currency
    row.reason = seen.reason
    row.status = seen.status
    row.is_charge_refundable = seen.is_charge_refundable
    row.respond_by = seen.respond_by
    row.withdrawn_at = seen.withdrawn_at
    row.reinstated_at = seen.reinstated_at


def _found(known: list[Refund], seen: StripeRefund) -> Refund | None:
    """The row of a refund: by Stripe's id, or by our own that we gave Stripe to keep."""
    for row in known:
        if row.stripe_refund_id == seen.id:
            return row
    try:
        named = decode_id("ref", seen.metadata.get(REFUND_NAME, ""))
    except MalformedId:
        return None
    return next((row for row in known if row.id == named and row.stripe_refund_id is None), None)
