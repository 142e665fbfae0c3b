"""Invoices as Stripe reports them, and documents."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from app.gateways.stripe.gateway import StripeInvoice, StripeInvoiceLine
from app.invoices.document import DocumentLine, InvoiceDocument, Party
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.service.reading import InvoiceService
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money
from app.kernel.pages import PageRequest
from app.kernel.periods import Period
from tests.support.service import Service

NOVEMBER = Period(datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 12, 21, 9, tzinfo=UTC))


def a_document(
    customer: str = "Ada Lovelace GmbH",
    *,
    lines: int = 1,
    currency: str = "usd",
    minor: int = 29900,
    **changes: Any,
) -> InvoiceDocument:
    """A paid invoice of equal lines over *minor* each."""
    code = Currency(currency)
    each = Money(minor, code)
    total = Money(minor * lines, code)
    values: dict[str, Any] = {
        "number": "INV-2026-000123",
        "status": "paid",
        "seller": Party("Aragora", ("1 Example Street", "Springfield"), "billing@example.test"),
        "customer": Party(customer),
        "lines": tuple(
            DocumentLine(f"Professional plan, part {n}", each, Decimal(1), each.major, NOVEMBER)
            for n in range(1, lines + 1)
        ),
        "subtotal": total,
        "total": total,
        "amount_paid": total,
        "amount_due": Money.zero(code),
        "created_at": NOVEMBER.start,
        "issued_at": NOVEMBER.start,
        "paid_at": NOVEMBER.start,
        "period": NOVEMBER,
        **changes,
    }
    return InvoiceDocument(**values)


def a_stripe_invoice(status: str = "paid", **changes: Any) -> StripeInvoice:
    """A renewal of the professional plan; by default finalized and paid at once."""
    start = NOVEMBER.start
    amount = changes.pop("amount", 29900)
    line = StripeInvoiceLine(
        id="il_1",
        description="1 × Professional (at $299.00 / month)",
        amount=amount,
        currency="usd",
        quantity=1,
        price_id="price_professional",
        period=NOVEMBER,
        is_proration=False,
    )
    is_paid = status == "paid"
    values: dict[str, Any] = {
        "id": f"in_{new_id().hex}",
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "number": None if status == "draft" else "A1B2C3-0001",
        "status": status,
        "billing_reason": "subscription_cycle",
        "currency": "usd",
        "subtotal": amount,
        "discount": 0,
        "tax": 0,
        "total": amount,
        "amount_due": amount,
        "amount_paid": amount if is_paid else 0,
        "amount_remaining": 0 if is_paid else amount,
        "created_at": start,
        "period": NOVEMBER,
        "finalized_at": None if status == "draft" else start,
        "paid_at": start if is_paid else None,
        "voided_at": start if status == "void" else None,
        "uncollectible_at": start if status == "uncollectible" else None,
        "due_at": None,
        "attempt_count": 1 if is_paid else 0,
        "next_attempt_at": None,
        "hosted_url": "https://invoice.example.test/i/1",
        "pdf_url": "https://invoice.example.test/i/1/pdf",
        "lines": (line,),
        "metadata": {},
        "livemode": False,
        **changes,
    }
    return StripeInvoice(**values)


async def a_paid_invoice(service: Service, organization_id: OrganizationId) -> str:
    """Mirror a paid invoice of Stripe's for this organization; returns its id as the API has it."""
    async with service.work.begin(organization_id):
        await service.services[InvoiceMirror].record(organization_id, a_stripe_invoice())
    page = await service.services[InvoiceService].list(organization_id, PageRequest(), status=None)
    return encode_id("inv", page.items[0].id)
