"""Whether everything that is kept equals what the raw rows say, by the invariants of usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.infra.db.engine import create_engine
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.usage.invariants import INVARIANTS
from app.usage.kept import hours_kept_from
from tests.support.service import Service


async def broken(
    service: Service, organization_id: OrganizationId | None = None
) -> Mapping[str, list[Any]]:
    """The invariants that do not hold for an organization, or for any, and where they do not."""
    async with service.work.begin_platform() as session:
        return await _broken(session, organization_id, hours_kept_from(service.clock.now()))


async def misplaced(service: Service, organization_id: OrganizationId) -> list[tuple[str, str]]:
    """Events that count in another window than the one in which they happened, and in which."""
    organizations = service.services[OrganizationService]
    windows = await organizations.quota_windows(organization_id)
    async with service.work.begin(organization_id) as session:
        rows = await session.execute(
            text(
                "select event_key, occurred_at, window_start from usage_events"
                " where organization_id = :id"
            ),
            {"id": organization_id},
        )
        return [
            (key, window_start.isoformat())
            for key, occurred_at, window_start in rows
            if windows.at(occurred_at).start != window_start
        ]


async def broken_at(url: URL) -> Mapping[str, list[Any]]:
    """As `broken`, for a database whose service is another process."""
    engine = create_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            return await _broken(connection, None, None)
    finally:
        await engine.dispose()


async def _broken(
    on: AsyncSession | AsyncConnection,
    organization_id: OrganizationId | None,
    hours_from: datetime | None,
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, (_, sql) in INVARIANTS.items():
        if ":now" in sql:
            continue  # what time makes wrong is the doctor's business
        statement = text(sql)
        given = {
            "organization_id": organization_id,
            "hours_from": hours_from,
            "events_from": None,
        }
        asked = {key: given[key] for key in given if f":{key}" in sql}
        found[name] = list((await on.execute(statement, asked)).all())
    return {name: rows for name, rows in found.items() if rows}
