"""`reconcile`: what the hourly job does, now."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from app.cli.database import database
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.reconciliation.domain import Report
from app.reconciliation.service import ReconciliationService
from app.wiring import build_services


def reconcile_once(settings: Settings, customers: int) -> Report:
    """One run, from where the last one ended. Raises `StripeNotConfigured`."""
    configure_logging("error", json=False)
    with database(settings) as url:
        used = settings.model_copy(update={"database_url": SecretStr(url)})
        return asyncio.run(_run(used, customers))


async def _run(settings: Settings, customers: int) -> Report:
    services = build_services(settings)
    lifecycle = services[Lifecycle]
    await lifecycle.start()
    try:
        return await services[ReconciliationService].reconcile("command", customers=customers)
    finally:
        await lifecycle.stop()
