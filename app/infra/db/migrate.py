"""Brings a database to the newest schema."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, text

from app.infra.db.engine import create_engine

ROOT = Path(__file__).resolve().parents[3]
_LOCK = 727_000


def alembic_config(connection: Connection) -> Config:
    """Alembic on an open connection; nothing about the server is written to a file."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["connection"] = connection
    return config


def _run(connection: Connection, revision: str) -> None:
    # Two processes may start at once; the second waits and then finds nothing to do.
    connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
    connection.commit()
    try:
        if revision == "base":
            command.downgrade(alembic_config(connection), revision)
        else:
            command.upgrade(alembic_config(connection), revision)
        connection.commit()
    finally:
        connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
        connection.commit()


async def upgrade(url: URL | str, revision: str = "head") -> None:
    """Run every migration up to *revision*; `base` takes them all back. Safe to run twice at once."""
    engine = create_engine(url, pool_size=2)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


def upgrade_now(url: URL | str, revision: str = "head") -> None:
    """`upgrade` for callers without a loop."""
    asyncio.run(upgrade(url, revision))
