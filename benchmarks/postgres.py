"""A durable Postgres of the benchmark's own that counts statements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import URL, make_url

from app.infra.db.engine import asyncpg_arguments
from app.infra.postgres.account import ServerAccount
from app.infra.postgres.binaries import find_binaries
from app.infra.postgres.embedded import EmbeddedPostgres
from benchmarks.slow_fsync import DELAY_US

_STATEMENTS = """
select coalesce(sum(calls), 0) from pg_stat_statements
where toplevel
    and query !~* '^(begin|commit|rollback|set|show|discard|listen|checkpoint|select pg_)'
    and query not like '%pg_stat_statements%' and query not like '%pgqueuer_schedules%'
"""


class Database:
    """One database of the server, seen from outside the service."""

    def __init__(self, url: URL, postmaster: int, version: str) -> None:
        self.url = url
        self.postmaster = postmaster
        self.version = version

    async def connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(**asyncpg_arguments(self.url), timeout=30)

    async def execute(self, *statements: str) -> None:
        connection = await self.connect()
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def statements(self) -> int:
        """Statements that applications sent so far, without `BEGIN` and `COMMIT`."""
        connection = await self.connect()
        try:
            return int(await connection.fetchval(_STATEMENTS))
        finally:
            await connection.close()


@asynccontextmanager
async def postgres(directory: Path, library: Path | None = None) -> AsyncIterator[EmbeddedPostgres]:
    """A server in *directory*, with *library* preloaded; stopped and left behind at the end."""
    server = EmbeddedPostgres(directory, durable=True)
    server.start()
    try:
        database = await attach(server, "postgres")
        await database.execute(
            "alter system set shared_preload_libraries = 'pg_stat_statements'",
            "alter system set pg_stat_statements.track_utility = off",
        )
        _restart(server, library)
        yield server
    finally:
        server.stop()


def _restart(server: EmbeddedPostgres, library: Path | None) -> None:
    account = ServerAccount.choose()
    major = int((server.cluster / "PG_VERSION").read_text())
    programs = find_binaries(account, major=major, reachable=Path("/var/lib/aragora-billing"))
    environment = []
    if library is not None:
        environment = ["/usr/bin/env", f"LD_PRELOAD={library}", f"SLOW_FSYNC_US={DELAY_US}"]
    answer = account.run(
        *environment,
        *(programs.directory / "pg_ctl", "-D", server.cluster, "-w", "-t", "60"),
        *("-l", server.cluster / "server.log", "-m", "fast", "restart"),
    )
    if answer.returncode != 0:
        raise SystemExit(f"Postgres did not start again: {answer.stdout}")


async def attach(server: EmbeddedPostgres, name: str) -> Database:
    """The database called *name*, made where it is not there."""
    server.ensure_database(name)
    url = make_url(server.url(name))
    connection = await asyncpg.connect(**asyncpg_arguments(url))
    try:
        backend = Path(f"/proc/{connection.get_server_pid()}/stat").read_text()
        version = ".".join(str(part) for part in connection.get_server_version()[:2])
    finally:
        await connection.close()
    return Database(url, int(backend.rsplit(")", 1)[1].split()[1]), version)
