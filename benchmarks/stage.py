"""The stage of a run: a durable Postgres that counts statements, the service, its rivals."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.infra.db.migrate import upgrade
from app.infra.http.wire import LaneProtocol
from app.infra.postgres.embedded import EmbeddedPostgres
from app.infra.settings import Settings
from app.wiring import build_services
from benchmarks import client, events
from benchmarks.postgres import Database, attach
from benchmarks.rivals import tables
from benchmarks.servers import Server, serve
from benchmarks.tenants import Tenant, Tenants

WEBHOOK_SECRET = "whsec_" + secrets.token_hex(16)
# What `serve` gives to uvicorn.
_PROTOCOL = f"{LaneProtocol.__module__}:{LaneProtocol.__name__}"
_JWT_SECRET = secrets.token_hex(32)
_USAGE = "usage_events, usage_keys, usage_hourly, usage_daily, usage_monthly, usage_counters, reservations"


@dataclass
class Stage:
    """A database with the servers that use it."""

    database: Database
    environment: dict[str, str]
    service: Server
    unauthenticated: Server | None
    rivals: Server
    tenants: Tenants
    open_tenant: Tenant
    """Whose events the server without authentication records."""
    small_tenant: Tenant | None = None
    keeps_rows: bool = False
    """Whether what it stores stays from run to run."""

    async def clear(self) -> None:
        """Empty what grows, so that every run begins alike."""
        await self.database.execute(
            f"truncate {_USAGE}", f"truncate {tables.GROWING}", "vacuum", "checkpoint"
        )


async def _warm_up(service: Server, tenant: Tenant) -> None:
    """Let every connection plan its statements; `clear` removes what this records."""
    ids = events.keys("warm", 0, 1_000)
    for requests in (events.singles(ids[:500], [tenant]), events.batches(ids[500:], 100, tenant)):
        await client.send(service.port, requests, connections=16)


@asynccontextmanager
async def stage(
    directory: Path, server: EmbeddedPostgres, name: str, *, workers: int, with_open: bool
) -> AsyncIterator[Stage]:
    """Set up a database called *name* on *server*, and the processes that use it."""
    async with AsyncExitStack() as stack:
        database = await attach(server, name)
        await upgrade(database.url)
        await database.execute("create extension pg_stat_statements", *tables.CREATE)
        environment = {
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
            "ARAGORA_ENV": "development",
            "ARAGORA_JWT_SECRET": _JWT_SECRET,
            "ARAGORA_JOBS": "separate",
            "ARAGORA_RATE_LIMITS": "off",
            "ARAGORA_DATA_DIR": str(directory),
            "ARAGORA_LOG_LEVEL": "warning",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        service = await serve(
            "app.main:create_app",
            environment,
            probe="/health/ready",
            workers=workers,
            protocol=_PROTOCOL,
        )
        stack.callback(service.stop)
        rivals = await serve("benchmarks.rivals.server:app", environment, probe="/hello")
        stack.callback(rivals.stop)
        # Not started: only what needs nothing but the database is asked of these.
        tenants = Tenants(service.port, build_services(Settings.model_validate(environment)))
        stack.push_async_callback(tenants.close)
        await tenants.sign_up()
        tenant = await tenants.take()
        await _warm_up(service, tenant)
        unauthenticated = None
        if with_open:
            unauthenticated = await serve(
                "benchmarks.rivals.unauthenticated:create_app",
                {**environment, "BENCH_ORGANIZATION": str(tenant.id)},
                probe="/health/ready",
                protocol=_PROTOCOL,
            )
            stack.callback(unauthenticated.stop)
        yield Stage(database, environment, service, unauthenticated, rivals, tenants, tenant)
