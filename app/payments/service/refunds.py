"""Money back, asked for by an operator: written down, asked of Stripe, settled."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog

from app.audit.service import AuditLog
from app.gateways.stripe.errors import StripeMissing, StripeRefused
from app.gateways.stripe.payments import PaymentsGateway, RefundOrder
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.service.reading import InvoiceService
from app.invoices.service.returning import MoneyLeft
from app.kernel.clock import Clock
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.payments import domain
from app.payments.domain import (
    REFUND_NAME,
    STRIPE_REASONS,
    PaymentReport,
    RefundRequest,
    RefundStatus,
    refundable,
    stands_in_the_way,
)
from app.payments.errors import (
    AlreadyRefunded,
    ChargeDisputed,
    ChargeNotFound,
    ChargeNotPaid,
    InvoicePaidInParts,
    InvoiceWithoutCharge,
    RefundNotFound,
    RefundRefused,
    RefundTooLarge,
)
from app.payments.models import Charge, Refund
from app.payments.repository import PaymentRepository
from app.payments.service.mirror import PaymentMirror
from app.payments.service.reports import PaymentReports
from app.subscriptions.service.known import KnownAtStripe

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=2)
"""How long an attempt may take before another is made beside it; both have one key."""
_LONGEST_WAIT = timedelta(hours=1)
_BATCH = 20


class RefundService:
    """Refunds in three beats. The row's id is Stripe's key, so a repeat sends nothing twice."""

    def __init__(
        self,
        work: UnitOfWork,
        payments: PaymentRepository,
        reports: PaymentReports,
        mirror: PaymentMirror,
        known: KnownAtStripe,
        invoices: InvoiceService,
        money: MoneyLeft,
        stripe: PaymentsGateway,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._payments = payments
        self._reports = reports
        self._mirror = mirror
        self._known = known
        self._invoices = invoices
        self._money = money
        self._stripe = stripe
        self._audit = audit
        self._clock = clock

    async def make(self, request: RefundRequest, *, actor: str) -> domain.Refund:
        """Send money back.

        Stripe is asked first how the charge stands, so a fresh dispute or a refund made in its
        dashboard counts. Once the refund is written down it is made, by this call or by the job
        that finds it: where Stripe does not answer, the refund comes back as `requested`. A refund
        that the request names is made once; asked for again it is answered as it stands.
        """
        charge_id = request.stripe_charge_id or await self._charge_of(request.invoice_id)
        try:
            report = await self._reports.of_charge(charge_id)
        except StripeMissing:
            raise ChargeNotFound from None
        organization_id = await self._whose(report)
        async with self._work.begin(organization_id):
            await self._mirror.take(organization_id, report)
        # Not the same unit: what Stripe said stays known where the wish is refused.
        async with self._work.begin(organization_id):
            refund_id = await self._reuse(
                organization_id, charge_id, request.refund_id
            ) or await self._reserve(organization_id, charge_id, request, actor)
        try:
            await self._ask(organization_id, refund_id, is_repeat=False)
        except Unavailable as failure:
            log.warning("payments.refund_waits", refund_id=str(refund_id), reason=failure.code)
        return await self.get(refund_id)

    async def make_requested(self) -> int:
        """Ask Stripe again for refunds that it has not answered; says how many were settled."""
        now = self._clock.now()
        async with self._work.begin_platform():
            due = await self._payments.claim_requested_due(now, now + LEASE, _BATCH)
        settled = 0
        for organization_id, refund_id in due:
            try:
                await self._ask(organization_id, refund_id, is_repeat=True)
                settled += 1
            except Unavailable as failure:
                await self._wait(organization_id, refund_id, failure)
            except RefundRefused:
                settled += 1
        return settled

    async def get(self, refund_id: UUID) -> domain.Refund:
        """Raises `RefundNotFound`."""
        async with self._work.begin_platform():
            found = await self._payments.find_refund_for_operators(refund_id)
        if found is None:
            raise RefundNotFound
        return found

    async def list(
        self,
        request: PageRequest,
        organization_id: OrganizationId | None = None,
        status: str | None = None,
    ) -> Page[domain.Refund]:
        """Refunds of everybody, the newest first."""
        async with self._work.begin_platform():
            return await self._payments.list_refunds_for_operators(request, organization_id, status)

    async def _charge_of(self, invoice_id: UUID | None) -> str:
        found = await self._invoices.find_for_operators(invoice_id) if invoice_id else None
        if found is None:
            raise ChargeNotFound
        if found.stripe_invoice_id is None:
            raise InvoiceWithoutCharge
        charges = await self._stripe.list_charges_of(found.stripe_invoice_id)
        if not charges:
            raise InvoiceWithoutCharge
        if len(charges) > 1:
            raise InvoicePaidInParts(charges=list(charges))
        return charges[0]

    async def _whose(self, report: PaymentReport) -> OrganizationId:
        customer_id = report.customer_id
        found = await self._known.find_owner(customer_id) if customer_id else None
        if found is None:
            raise ChargeNotFound
        return found

    async def _reuse(
        self, organization_id: OrganizationId, charge_id: str, refund_id: UUID | None
    ) -> UUID | None:
        """The refund of that name, if it was asked for before. The charge's row is locked, so of
        two at once the second finds it."""
        if refund_id is None:
            return None
        await self._payments.find_charge(organization_id, charge_id, lock=True)
        found = await self._payments.find_refund(organization_id, refund_id)
        return found.id if found is not None else None

    async def _reserve(
        self, organization_id: OrganizationId, charge_id: str, request: RefundRequest, actor: str
    ) -> UUID:
        """The first beat. The charge's row is locked, so what was asked for before counts."""
        now = self._clock.now()
        charge = await self._payments.find_charge(organization_id, charge_id, lock=True)
        if charge is None:
            raise ChargeNotFound
        amount = await self._allowed(organization_id, charge, request)
        refund = Refund(
            organization_id=organization_id,
            id=request.refund_id or new_id(),
            charge_id=charge.id,
            stripe_refund_id=None,
            amount=amount,
            currency=charge.currency,
            status=RefundStatus.REQUESTED.value,
            reason=request.reason,
            failure_reason=None,
            requested_by=actor,
            created_at=now,
            attempts=0,
            next_attempt_at=now + LEASE,
        )
        await self._payments.add_refund(organization_id, refund)
        self._record("payments.refund_requested", refund, reason=request.reason)
        return refund.id

    async def _allowed(
        self, organization_id: OrganizationId, charge: Charge, request: RefundRequest
    ) -> int:
        if charge.status != "succeeded":
            raise ChargeNotPaid
        disputes = await self._payments.list_disputes(organization_id, charge.id)
        if any(
            stands_in_the_way(one.status, is_charge_refundable=one.is_charge_refundable)
            for one in disputes
        ):
            raise ChargeDisputed
        refunds = await self._payments.list_refunds(organization_id, charge.id)
        left = refundable(
            charge.amount, charge.amount_refunded, [(one.status, one.amount) for one in refunds]
        )
        if charge.stripe_invoice_id is not None:
            of_invoice = await self._money.of_collected(
                organization_id, charge.stripe_invoice_id, but_for=request.refund_id
            )
            # What a credit note promised, or was sent by hand, does not go back once more.
            left = left if of_invoice is None else min(left, of_invoice)
        if left == 0:
            raise AlreadyRefunded
        wanted = request.amount
        if wanted is not None and wanted > left:
            raise RefundTooLarge(refundable=left, currency=charge.currency)
        return left if wanted is None else wanted

    async def _ask(
        self, organization_id: OrganizationId, refund_id: UUID, *, is_repeat: bool
    ) -> None:
        """The second and the third beat. Raises `Unavailable` where there was no answer."""
        async with self._work.begin(organization_id):
            refund, charge = await self._payments.get_refund(organization_id, refund_id)
            if refund.status != RefundStatus.REQUESTED:
                return
            refund.attempts += 1
            order, key = _order(refund, charge), refund.idempotency_key
        if is_repeat and await self._was_made(organization_id, refund_id, order):
            return
        try:
            made = await self._stripe.create_refund(order, key=key)
        except Unavailable:
            raise
        except BillingError as refusal:
            await self._note_refusal(organization_id, refund_id, refusal)
            raise _refused(refund_id, refusal) from None
        async with self._work.begin(organization_id):
            refund, _ = await self._payments.get_refund(organization_id, refund_id)
            await self._mirror.settle(refund, made)
            self._record("payments.refund_made", refund)

    async def _was_made(
        self, organization_id: OrganizationId, refund_id: UUID, order: RefundOrder
    ) -> bool:
        """Whether an earlier attempt came through: Stripe forgets keys after a day, not refunds."""
        report = await self._reports.of_charge(order.charge_id)
        async with self._work.begin(organization_id):
            await self._mirror.take(organization_id, report)
            refund, _ = await self._payments.get_refund(organization_id, refund_id)
            return refund.status != RefundStatus.REQUESTED

    async def _note_refusal(
        self, organization_id: OrganizationId, refund_id: UUID, refusal: BillingError
    ) -> None:
        async with self._work.begin(organization_id):
            refund, _ = await self._payments.get_refund(organization_id, refund_id)
            if refund.status == RefundStatus.REQUESTED:
                refund.status = RefundStatus.REFUSED.value
                refund.failure_reason = _why(refusal)
                refund.next_attempt_at = None
                self._record("payments.refund_refused", refund, reason=_why(refusal))
                self._work.enqueue(
                    "payments.follow_refund",
                    {"organization_id": organization_id, "refund_id": refund_id},
                )

    async def _wait(
        self, organization_id: OrganizationId, refund_id: UUID, failure: Unavailable
    ) -> None:
        async with self._work.begin(organization_id):
            refund, _ = await self._payments.get_refund(organization_id, refund_id)
            wait = min(LEASE * 2 ** min(refund.attempts - 1, 10), _LONGEST_WAIT)
            if refund.status == RefundStatus.REQUESTED:
                refund.next_attempt_at = self._clock.now() + wait
        log.warning(
            "payments.refund_waits",
            refund_id=str(refund_id),
            reason=failure.code,
            wait=wait.total_seconds(),
        )

    def _record(self, action: str, refund: Refund, *, reason: str | None = None) -> None:
        self._audit.record(
            action,
            encode_id("ref", refund.id),
            organization_id=OrganizationId(refund.organization_id),
            after={
                "amount": refund.amount,
                "currency": refund.currency,
                "status": refund.status,
                "stripe_refund_id": refund.stripe_refund_id,
            },
            reason=reason,
        )


def _order(refund: Refund, charge: Charge) -> RefundOrder:
    reason = refund.reason or ""
    return RefundOrder(
        charge_id=charge.stripe_charge_id,
        amount=refund.amount,
        reason=reason if reason in STRIPE_REASONS else None,
        metadata={
            REFUND_NAME: encode_id("ref", refund.id),
            "organization_id": encode_id("org", refund.organization_id),
            "reason": reason,
        },
    )


def _why(refusal: BillingError) -> str:
    return (refusal.stripe_code if isinstance(refusal, StripeRefused) else None) or refusal.code


def _refused(refund_id: UUID, refusal: BillingError) -> RefundRefused:
    return RefundRefused(
        refund_id=encode_id("ref", refund_id),
        stripe_code=_why(refusal),
        stripe_message=refusal.reason if isinstance(refusal, StripeRefused) else refusal.message,
    )
