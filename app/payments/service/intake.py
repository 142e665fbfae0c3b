"""Charges of paid invoices, looked up when an invoice is paid."""

from __future__ import annotations

from uuid import UUID

from app.gateways.stripe.errors import StripeMissing, StripeNotConfigured
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.service.reading import InvoiceService
from app.kernel.ids import OrganizationId
from app.payments.service.mirror import PaymentMirror
from app.payments.service.reports import PaymentReports


class PaymentIntake:
    """Mirrors what paid an invoice. Stripe's invoice does not say; its payments do."""

    def __init__(
        self,
        work: UnitOfWork,
        invoices: InvoiceService,
        reports: PaymentReports,
        mirror: PaymentMirror,
    ) -> None:
        self._work = work
        self._invoices = invoices
        self._reports = reports
        self._mirror = mirror

    async def look_up(self, organization_id: OrganizationId, invoice_id: UUID) -> int:
        """Says how many charges were found; none for an invoice that Stripe did not issue."""
        invoice = await self._invoices.get(organization_id, invoice_id)
        if invoice.stripe_invoice_id is None or not invoice.amount_paid:
            return 0
        try:
            reports = await self._reports.of_invoice(invoice.stripe_invoice_id)
        except (StripeMissing, StripeNotConfigured):
            return 0
        for report in reports:
            async with self._work.begin(organization_id):
                await self._mirror.take(organization_id, report)
        return len(reports)
