"""Waiting until somebody waits, which is surer than a sleep."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import text

from tests.support.service import Service


async def waiting(service: Service, at_least: int, task: asyncio.Task[Any]) -> None:
    """Until so many wait for a lock in this database, or *task* is done without."""
    for _ in range(400):
        async with service.work.begin_platform() as session:
            # Within one transaction it would say the same again.
            await session.execute(text("select pg_stat_clear_snapshot()"))
            found = await session.scalar(
                text(
                    "select count(*) from pg_stat_activity"
                    " where datname = current_database() and wait_event_type = 'Lock'"
                )
            )
        if task.done() or int(found or 0) >= at_least:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError
