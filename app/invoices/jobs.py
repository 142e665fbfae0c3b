"""Background work on invoices."""

from __future__ import annotations

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.invoices.service.running import InvoiceRun


async def close_windows(payload: Payload, services: Services) -> None:
    """Draft what has ended; issue what has waited out its grace."""
    await services[InvoiceRun].close()


JOBS = {"invoices.close_windows": close_windows}
