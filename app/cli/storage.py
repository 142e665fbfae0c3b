"""`list-events`, `archive-events` and `attach-events`: months of events, kept or moved to files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.database import database
from app.infra.db.migrate import upgrade_now
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.periods import Period, calendar_month
from app.usage.archive_file import Manifest
from app.usage.service.archive import Stored, UsageArchives
from app.wiring import build_services

T = TypeVar("T")


def list_events(settings: Settings) -> Sequence[Stored]:
    """Every part of the events, archived ones first."""
    return _with_archives(settings, lambda archives: archives.stored())


def archive_events(
    settings: Settings, month: str, folder: Path, keep_months: int
) -> Manifest | None:
    """Move a month (`2024-05`) to a file in *folder*; None if there is nothing to move."""
    return _with_archives(
        settings,
        lambda archives: archives.archive(month_of(month), folder, keep_months=keep_months),
    )


def attach_events(settings: Settings, month: str) -> bool:
    """Put a month back that was detached and is not dropped yet; says whether there was one."""
    return _with_archives(settings, lambda archives: archives.attach(month_of(month)))


def month_of(text: str) -> Period:
    """Raises `ValueError` for anything but `YYYY-MM`."""
    return calendar_month(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC))


def _with_archives(settings: Settings, work: Callable[[UsageArchives], Awaitable[T]]) -> T:
    configure_logging("error", json=False)
    with database(settings) as url:
        upgrade_now(url)
        used = settings.model_copy(update={"database_url": SecretStr(url)})
        return asyncio.run(_run(used, work))


async def _run(settings: Settings, work: Callable[[UsageArchives], Awaitable[T]]) -> T:
    services = build_services(settings)
    try:
        return await work(services[UsageArchives])
    finally:
        await services[AsyncEngine].dispose()
