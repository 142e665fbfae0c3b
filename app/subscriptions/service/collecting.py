"""How collecting an invoice goes: what failed, what was settled, which period it paid for."""

from __future__ import annotations

from datetime import datetime

from app.gateways.stripe.gateway import StripeInvoice
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.periods import Period
from app.subscriptions.domain import WINDOW_OPENING_REASONS
from app.subscriptions.events import (
    PaymentActionRequired,
    PaymentFailed,
    PaymentRecovered,
    QuotaWindowOpened,
)
from app.subscriptions.models import InvoiceCollection, Subscription
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service.reports import Report

SETTLED = frozenset({"paid", "void", "uncollectible"})
_NOT_YET_A_CUSTOMER = frozenset({"subscription_create", "subscription_update"})
"""An invoice for something new; who pays it recovers from nothing."""


class Collecting:
    """Notes what a report says about an invoice. Needs the organization's lock."""

    def __init__(
        self, work: UnitOfWork, subscriptions: SubscriptionRepository, clock: Clock
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._clock = clock

    async def note(
        self,
        organization_id: OrganizationId,
        row: Subscription,
        report: Report,
        invoice: StripeInvoice,
    ) -> None:
        """Take what is new about an invoice of *row*; repeating it changes nothing.

        An invoice that was settled stays so, whatever an older answer says of it. Each failed
        attempt is announced once, each paid period opens its window once.
        """
        if invoice.id is None or invoice.subscription_id != row.stripe_subscription_id:
            return
        if invoice.status in SETTLED:
            await self._settle(organization_id, row, invoice, invoice.id)
        elif invoice.status == "open" and report.failed_at is not None:
            await self._fail(organization_id, row, report, invoice, invoice.id, report.failed_at)
        if invoice.is_paid and invoice.billing_reason in WINDOW_OPENING_REASONS:
            period = invoice.period or report.subscription.period
            if period is not None:
                await self._open_window(organization_id, row, invoice.id, period)

    async def _settle(
        self,
        organization_id: OrganizationId,
        row: Subscription,
        invoice: StripeInvoice,
        invoice_id: str,
    ) -> None:
        known = await self._known(organization_id, row, invoice, invoice_id)
        if known.settled_at is not None:
            return
        known.settled_at = self._clock.now()
        if not invoice.is_paid or known.first_failed_at is None:
            return
        owed = await self._subscriptions.list_failures(organization_id, row.stripe_subscription_id)
        if not owed and invoice.billing_reason not in _NOT_YET_A_CUSTOMER:
            self._work.announce(PaymentRecovered(organization_id, row.id, invoice_id))

    async def _fail(
        self,
        organization_id: OrganizationId,
        row: Subscription,
        report: Report,
        invoice: StripeInvoice,
        invoice_id: str,
        failed_at: datetime,
    ) -> None:
        known = await self._known(organization_id, row, invoice, invoice_id)
        if known.settled_at is not None:
            return
        known.first_failed_at = min(failed_at, known.first_failed_at or failed_at)
        known.pay_url = invoice.hosted_url
        if invoice.attempt_count <= known.attempt:
            return
        known.attempt = invoice.attempt_count
        if report.asks_action:
            self._work.announce(
                PaymentActionRequired(
                    organization_id=organization_id,
                    subscription_id=row.id,
                    stripe_invoice_id=invoice_id,
                    pay_url=invoice.hosted_url,
                    amount_due=invoice.amount_remaining,
                    currency=invoice.currency,
                )
            )
            return
        self._work.announce(
            PaymentFailed(
                organization_id=organization_id,
                subscription_id=row.id,
                stripe_invoice_id=invoice_id,
                attempt=invoice.attempt_count,
                failed_at=failed_at,
                amount_due=invoice.amount_remaining,
                currency=invoice.currency,
                next_attempt_at=invoice.next_attempt_at,
                pay_url=invoice.hosted_url,
            )
        )

    async def _known(
        self,
        organization_id: OrganizationId,
        row: Subscription,
        invoice: StripeInvoice,
        invoice_id: str,
    ) -> InvoiceCollection:
        known = await self._subscriptions.find_collection(organization_id, invoice_id)
        if known is None:
            known = InvoiceCollection(
                organization_id=organization_id,
                id=new_id(),
                stripe_subscription_id=row.stripe_subscription_id,
                stripe_invoice_id=invoice_id,
                billing_reason=invoice.billing_reason,
                attempt=-1,
            )
            self._subscriptions.add(known)
        return known

    async def _open_window(
        self, organization_id: OrganizationId, row: Subscription, invoice_id: str, period: Period
    ) -> None:
        subscription_id = row.stripe_subscription_id
        is_news = await self._subscriptions.open_period(
            organization_id, subscription_id, invoice_id, period, self._clock.now()
        )
        latest = await self._subscriptions.find_latest_period(organization_id, subscription_id)
        if not is_news or latest is None:
            return
        # An invoice paid late, after a newer one, opens nothing that is still open.
        row.window_start, row.window_end = latest.start, latest.end
        if latest == period:
            self._work.announce(
                QuotaWindowOpened(organization_id, row.id, period.start, period.end)
            )
