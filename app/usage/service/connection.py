"""Connections of usage's own: past SQLAlchemy, whose adapter costs more than the statement."""

from __future__ import annotations

import asyncpg
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments

TIMEOUT_SECONDS = 15.0


async def connect(url: URL, **settings: str) -> asyncpg.Connection:
    """A connection that gives up on a server that has stopped answering."""
    return await asyncpg.connect(
        **asyncpg_arguments(url),
        timeout=5,
        command_timeout=TIMEOUT_SECONDS,
        server_settings={
            "application_name": "aragora-billing-usage",
            "timezone": "UTC",
            "statement_timeout": str(int(TIMEOUT_SECONDS * 1000)),
            "jit": "off",
            **settings,
        },
    )


async def connect_to_record(url: URL) -> asyncpg.Connection:
    """A connection for `usage_record`.

    The statement joins nothing but arrays of equal length; planned once, with hash joins, it costs
    the same at every size.
    """
    return await connect(url, plan_cache_mode="force_generic_plan", enable_nestloop="off")
