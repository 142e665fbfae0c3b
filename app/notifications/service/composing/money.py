"""Invoices, receipts, refunds and disputes."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.invoices.domain import Invoice, InvoiceOrigin
from app.invoices.errors import InvoiceNotFound
from app.invoices.service.paying import WaysToPay, WayToPay
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose
from app.notifications.words import amount, instant, instant_of, money

_PERIOD_OPENING = frozenset({"subscription_create", "subscription_cycle"})
"""Of Stripe's invoices, those that pay for a period have a receipt (rule 9)."""

_OUTCOMES = {
    "won": "it was decided in our favour, and the payment stands",
    "lost": "the bank has kept the money",
    "warning_closed": "the bank asks no more, and the payment stands",
    "prevented": "the payment was given back before a dispute came of it",
}


class MoneyLetters:
    """What was paid at once has a receipt and no second mail that asks for it."""

    def __init__(self, invoices: InvoiceService, ways: WaysToPay, clock: Clock) -> None:
        self._invoices = invoices
        self._ways = ways
        self._clock = clock

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.INVOICE_READY: self.invoice_ready,
            NoticeKind.RECEIPT: self.receipt,
            NoticeKind.REFUND_MADE: self.refund,
            NoticeKind.REFUND_FAILED: self.refund,
            NoticeKind.DISPUTE_OPENED: self.dispute_opened,
            NoticeKind.DISPUTE_CLOSED: self.dispute_closed,
            NoticeKind.CREDIT_EXPIRING: self.credit_expiring,
        }

    async def invoice_ready(self, told: Told) -> Mapping[str, object] | None:
        invoice = await self._invoice(told)
        if invoice is None or not invoice.still_owed:
            return None
        if invoice.attempt_count and (invoice.own is not None or invoice.due_at is None):
            return None  # the failed attempt has a notice of its own
        way = await self._ways.of(invoice.organization_id, invoice)
        return {
            **_shown(invoice),
            "amount": money(invoice.still_owed),
            "due": instant(invoice.due_at) if invoice.due_at else None,
            "way": way.value,
            "pay_url": invoice.hosted_invoice_url if way is not WayToPay.TRANSFER else None,
        }

    async def receipt(self, told: Told) -> Mapping[str, object] | None:
        invoice = await self._invoice(told)
        if invoice is None or not invoice.is_paid or not invoice.amount_paid:
            return None
        if invoice.origin is InvoiceOrigin.STRIPE and invoice.billing_reason not in _PERIOD_OPENING:
            return None
        period = invoice.period
        return {
            **_shown(invoice),
            "amount": money(invoice.amount_paid),
            "see_url": invoice.hosted_invoice_url,
            "paid_at": instant(invoice.paid_at) if invoice.paid_at else None,
            "period": f"{period.start:%Y-%m-%d} to {period.end:%Y-%m-%d}" if period else None,
        }

    async def refund(self, told: Told) -> Mapping[str, object] | None:
        return {"amount": amount(told.facts["amount"], told.facts["currency"])}

    async def dispute_opened(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "reason": str(facts["reason"]).replace("_", " "),
            "is_inquiry": facts["is_inquiry"],
        }

    async def dispute_closed(self, told: Told) -> Mapping[str, object] | None:
        status = str(told.facts["status"])
        return {"outcome": _OUTCOMES.get(status, status.replace("_", " "))}

    async def credit_expiring(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        expires_at = instant_of(facts["expires_at"])
        if expires_at <= self._clock.now():
            return None
        return {
            "amount": amount(facts["amount"], facts["currency"]),
            "expires_at": instant(expires_at),
        }

    async def _invoice(self, told: Told) -> Invoice | None:
        organization_id = OrganizationId(UUID(told.facts["organization_id"]))
        try:
            return await self._invoices.get(organization_id, UUID(told.facts["invoice_id"]))
        except InvoiceNotFound:
            return None


def _shown(invoice: Invoice) -> dict[str, object]:
    invoice_id = encode_id("inv", invoice.id)
    return {"invoice_id": invoice_id, "number": invoice.number or invoice_id}
