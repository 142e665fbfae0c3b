"""The process is killed in the middle of flushes: what was acknowledged is there, once."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import URL

from app.infra.db.engine import asyncpg_arguments
from tests.support.long import LONG
from tests.support.service import TEST_SECRET

EVENTS = "/api/v1/usage/events"


async def serve(url: URL, port: int, directory: Path) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "ARAGORA_ENV": "test",
        "ARAGORA_JWT_SECRET": TEST_SECRET,
        "ARAGORA_JOBS": "separate",
        "ARAGORA_RATE_LIMITS": "off",
        "ARAGORA_DATA_DIR": str(directory),
        "ARAGORA_LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"),
        *("--port", str(port), "--no-access-log", "--log-level", "error"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(600):
            try:
                if (await http.get("/health/ready")).status_code == 200:
                    return process
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    process.kill()
    raise TimeoutError("the service did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGTERM, id="asked to go", marks=LONG),
    ],
)
async def test_what_was_acknowledged_is_stored_once(
    fresh_url: URL, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    process = await serve(fresh_url, port, tmp_path)
    base = f"http://127.0.0.1:{port}"
    acknowledged: set[str] = set()
    cut = 0
    try:
        async with httpx.AsyncClient(base_url=base, timeout=30) as http:
            registered = await http.post(
                "/api/v1/auth/register",
                json={
                    "email": "kill@example.com",
                    "password": secrets.token_urlsafe(16),
                    "name": "Kill",
                    "organization_name": "Kill",
                },
            )
            headers = {"Authorization": f"Bearer {registered.json()['access_token']}"}

        async def stream(worker: int, limit: int) -> None:
            nonlocal cut
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
                for batch in range(limit):
                    rows: list[dict[str, Any]] = [
                        {"id": f"{worker}-{batch}-{row}", "type": "debate", "tokens_in": 0}
                        for row in range(20)
                    ]
                    try:
                        answer = await http.post(f"{EVENTS}/batch", json={"events": rows})
                    except httpx.TransportError:
                        cut += 1
                        return
                    if answer.status_code == 200:
                        acknowledged.update(row["id"] for row in rows)

        streams = [asyncio.create_task(stream(worker, 10_000)) for worker in range(8)]
        while len(acknowledged) < 600:
            await asyncio.sleep(0.005)
        process.send_signal(number)
        await asyncio.gather(*streams)
        code = await process.wait()
        connection = await asyncpg.connect(**asyncpg_arguments(fresh_url))
        stored = {row[0] for row in await connection.fetch("select event_key from usage_events")}
        assert acknowledged <= stored, "an acknowledged event is missing"
        if number is signal.SIGTERM:
            assert code in (0, -signal.SIGTERM), "it left in order"
        process = await serve(fresh_url, port, tmp_path)
        # Everything is sent again, as a client does that got no answer.
        last = max(int(name.split("-")[1]) for name in stored) + 1
        await asyncio.gather(*(stream(worker, last) for worker in range(8)))
        assert len(acknowledged) == 8 * last * 20
        counts = await connection.fetchrow(
            """select (select count(*) from usage_events), (select count(*) from usage_keys),
                (select sum(events) from usage_hourly), (select sum(events) from usage_monthly),
                (select sum(used) from usage_counters where metric = 'debates')"""
        )
        await connection.close()
        assert counts is not None
        assert set(counts) == {8 * last * 20}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
