"""Alembic's door to the tables. `app/infra/db/migrate.py` passes an open connection."""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, text

from app.infra.db.engine import create_engine
from app.infra.db.types import UtcInstant
from app.infra.settings import Settings
from app.tables import metadata

FOREIGN_TABLES = ("pgqueuer", "usage_events_")
"""Tables that the models do not describe: the job queue's own, and monthly partitions."""


def is_ours(name: str | None, kind: str, parents: MutableMapping[Any, Any]) -> bool:
    return not (kind == "table" and name is not None and name.startswith(FOREIGN_TABLES))


def render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Migrations name the database's types, not ours, which may change after them."""
    if kind == "type" and isinstance(item, UtcInstant):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=is_ours,
        render_item=render,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        connection.execute(text("set local lock_timeout = '4s'"))
        connection.execute(text("set local statement_timeout = '60s'"))
        context.run_migrations()


async def run_alone() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is None:
        configured = Settings().database_url
        if configured is None:
            raise SystemExit("set DATABASE_URL or pass -x url=…")
        url = configured.get_secret_value()
    engine = create_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_alone())
else:
    run(given)
