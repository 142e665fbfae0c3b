"""`doctor`: everything that must always hold, with an exit code."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.database import database
from app.doctor.domain import Report
from app.doctor.service import Doctor
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.wiring import build_services


def examine(settings: Settings) -> Report:
    """One visit over all organizations. The schema has to be the newest."""
    configure_logging("error", json=False)
    with database(settings) as url:
        used = settings.model_copy(update={"database_url": SecretStr(url)})
        return asyncio.run(_examine(used))


async def _examine(settings: Settings) -> Report:
    services = build_services(settings)
    try:
        return await services[Doctor].examine()
    finally:
        await services[AsyncEngine].dispose()
