"""Databases for tests: one migrated template, clones of it, on an embedded Postgres."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import URL, make_url

from app.infra.db.engine import asyncpg_arguments
from app.infra.db.migrate import upgrade
from app.infra.postgres.embedded import EmbeddedPostgres

# Checkouts that share a server by TEST_DATABASE_URL keep their templates apart.
TEMPLATE = "billing_" + hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]


@contextmanager
def server() -> Iterator[URL]:
    """A Postgres for the whole run: TEST_DATABASE_URL, else an embedded one that is shared.

    Workers of one run share a server; it does not sync to disk, because its data dies with it.
    """
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield make_url(given)
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"single-{os.getpid()}")
    root = Path(tempfile.gettempdir()) / f"billing-tests-{run[:12]}"
    postgres = EmbeddedPostgres(root, durable=False)
    postgres.start()
    try:
        yield make_url(postgres.url("postgres"))
    finally:
        postgres.destroy()


async def ensure_template(admin: URL) -> None:
    """Build the migrated template once; whoever comes second waits for the first."""
    connection = await asyncpg.connect(**asyncpg_arguments(admin))
    try:
        await connection.execute("select pg_advisory_lock(727001)")
        ready = await connection.fetchval(
            "select datistemplate from pg_database where datname = $1", TEMPLATE
        )
        if ready and not _is_run_of_its_own():
            await connection.execute(f"alter database {TEMPLATE} is_template false")
            ready = False
        if not ready:
            await connection.execute(f"drop database if exists {TEMPLATE}")
            await connection.execute(f"create database {TEMPLATE}")
            await upgrade(admin.set(database=TEMPLATE))
            await connection.execute(f"alter database {TEMPLATE} is_template true")
        await connection.execute("select pg_advisory_unlock(727001)")
    finally:
        await connection.close()


def _is_run_of_its_own() -> bool:
    """Whether the server was started for this run, so that its template is this run's too."""
    return "TEST_DATABASE_URL" not in os.environ


async def clone(admin: URL, name: str) -> URL:
    """A database called *name* with every table and no row."""
    connection = await asyncpg.connect(**asyncpg_arguments(admin))
    try:
        await connection.execute(f'drop database if exists "{name}" with (force)')
        await connection.execute(f'create database "{name}" template {TEMPLATE}')
    finally:
        await connection.close()
    return admin.set(database=name)


async def drop(admin: URL, name: str) -> None:
    connection = await asyncpg.connect(**asyncpg_arguments(admin))
    try:
        await connection.execute(f'drop database if exists "{name}" with (force)')
    finally:
        await connection.close()
