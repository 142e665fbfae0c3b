"""Background work on invoices."""

from __future__ import annotations

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.invoices.service.collecting import InvoiceCollecting
from app.invoices.service.mirror import NOTE_DISCOUNT_JOB, InvoiceMirror
from app.invoices.service.running import InvoiceRun
from app.kernel.ids import OrganizationId


async def close_windows(payload: Payload, services: Services) -> None:
    """Draft what has ended; issue what has waited out its grace."""
    await services[InvoiceRun].close(anywhere=True)


async def collect(payload: Payload, services: Services) -> None:
    """Ask Stripe for what an issued invoice of ours asks for."""
    await services[InvoiceCollecting].collect(*_invoice(payload))


async def stop_collecting(payload: Payload, services: Services) -> None:
    """Let Stripe ask for nothing but what is owed."""
    await services[InvoiceCollecting].stop(*_invoice(payload))


async def note_discount(payload: Payload, services: Services) -> None:
    """Count the period of a code that Stripe took off."""
    await services[InvoiceMirror].note_discount(*_invoice(payload))


def _invoice(payload: Payload) -> tuple[OrganizationId, UUID]:
    return OrganizationId(UUID(str(payload["organization_id"]))), UUID(str(payload["invoice_id"]))


JOBS = {
    "invoices.close_windows": close_windows,
    "invoices.collect": collect,
    "invoices.stop_collecting": stop_collecting,
    NOTE_DISCOUNT_JOB: note_discount,
}
