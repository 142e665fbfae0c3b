"""The stage of a run: a durable Postgres that counts statements, the service, the reference."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy import URL, make_url

from app.infra.db.engine import asyncpg_arguments
from app.infra.db.migrate import upgrade
from app.infra.postgres.embedded import EmbeddedPostgres

WEBHOOK_SECRET = "whsec_" + secrets.token_hex(16)


@dataclass
class Stage:
    """Ports and pids of what runs, and one signed-up organization."""

    service_port: int
    reference_port: int
    service_pid: int
    reference_pid: int
    postgres_pid: int
    database: URL
    token: str
    organization: str

    async def statements(self) -> int:
        """Statements that applications sent so far."""
        connection = await asyncpg.connect(**asyncpg_arguments(self.database))
        try:
            return int(
                await connection.fetchval(
                    "select coalesce(sum(calls), 0) from pg_stat_statements where toplevel"
                    " and query !~* '^(begin|commit|rollback|set|show|discard|listen|select pg_)'"
                    " and query not like '%pg_stat_statements%'"
                    " and query not like '%pgqueuer_schedules%'"
                )
            )
        finally:
            await connection.close()


@asynccontextmanager
async def stage(directory: Path) -> AsyncIterator[Stage]:
    """Set everything up in *directory* and take it down again."""
    postgres = EmbeddedPostgres(directory / "postgres", durable=True)
    postgres.start()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        await _count_statements(make_url(postgres.url("postgres")))
        postgres.stop()
        postgres.start()
        postgres.ensure_database("bench")
        database = make_url(postgres.url("bench"))
        await upgrade(database)
        connection = await asyncpg.connect(**asyncpg_arguments(database))
        await connection.execute("create extension pg_stat_statements")
        await connection.close()
        url = database.render_as_string(hide_password=False)
        service_port, reference_port = _free_port(), _free_port()
        environment = {
            **os.environ,
            "DATABASE_URL": url,
            "BENCH_DATABASE_URL": url,
            "ARAGORA_ENV": "development",
            "ARAGORA_JWT_SECRET": secrets.token_hex(32),
            "ARAGORA_JOBS": "separate",
            "ARAGORA_RATE_LIMITS": "off",
            "ARAGORA_DATA_DIR": str(directory),
            "ARAGORA_LOG_LEVEL": "warning",
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        for target, port in (
            ("app.main:create_app", service_port),
            ("benchmarks.reference:app", reference_port),
        ):
            processes.append(_serve(target, port, environment))
        await _ready(f"http://127.0.0.1:{service_port}/health/ready")
        await _ready(f"http://127.0.0.1:{reference_port}/hello")
        account = await _sign_up(service_port)
        yield Stage(
            service_port=service_port,
            reference_port=reference_port,
            service_pid=processes[0].pid,
            reference_pid=processes[1].pid,
            postgres_pid=await _postmaster(database),
            database=database,
            token=account["access_token"],
            organization=account["organization"]["id"],
        )
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(30)
        postgres.stop()


async def _count_statements(admin: URL) -> None:
    connection = await asyncpg.connect(**asyncpg_arguments(admin))
    await connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
    await connection.close()


async def _postmaster(database: URL) -> int:
    connection = await asyncpg.connect(**asyncpg_arguments(database))
    backend = connection.get_server_pid()
    parent = int(Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()[1])
    await connection.close()
    return parent


def _serve(target: str, port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", target, "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning", "--loop", "uvloop"]
    command += ["--http", "httptools"]
    if target.endswith("create_app"):
        command.append("--factory")
    return subprocess.Popen(command, env=environment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(url: str) -> None:
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(url)
            await asyncio.sleep(0.1)


async def _sign_up(port: int) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        answer = await http.post(
            "/api/v1/auth/register",
            json={
                "email": "bench@example.com",
                "password": secrets.token_urlsafe(16),
                "name": "Bench",
                "organization_name": "Bench",
            },
        )
        answer.raise_for_status()
        return dict(answer.json())
