"""kill -9: what was acknowledged is stored, and what was not can be sent again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy import URL, make_url

from app.infra.db.engine import asyncpg_arguments
from app.infra.db.migrate import upgrade
from app.infra.postgres.embedded import EmbeddedPostgres
from app.kernel.clock import SystemClock
from tests.support.long import LONG
from tests.support.process import Process
from tests.support.sign_up import SignedUp, sign_up

BATCH = 20
BATCHES = 200


def batch(number: int, at: str) -> dict[str, Any]:
    return {
        "events": [
            {
                "id": f"kill-{number}-{row}",
                "type": "tokens",
                "provider": "openai",
                "model": "gpt-4o",
                "tokens_in": 100,
                "tokens_out": 10,
                "occurred_at": at,
            }
            for row in range(BATCH)
        ]
    }


async def send_all(url: str, account: SignedUp, numbers: list[int], at: str) -> list[int]:
    """Send these batches at about 100 a second; returns those that got no answer."""
    unanswered: list[int] = []

    async with httpx.AsyncClient(base_url=url, headers=account.headers, timeout=10) as http:

        async def send(number: int) -> None:
            try:
                answer = await http.post("/api/v1/usage/events/batch", json=batch(number, at))
                assert answer.status_code in {200, 503}, answer.text
                if answer.status_code == 503:
                    unanswered.append(number)
            except httpx.HTTPError:
                unanswered.append(number)

        sending = []
        for number in numbers:
            sending.append(asyncio.create_task(send(number)))
            await asyncio.sleep(0.01)
        await asyncio.gather(*sending)
    return unanswered


async def stored(url: URL) -> tuple[int, int]:
    """Rows of usage_events, and distinct keys among them."""
    connection = await asyncpg.connect(**asyncpg_arguments(url))
    try:
        return tuple(
            await connection.fetchrow(
                "select count(*), count(distinct event_key) from usage_events"
            )
        )
    finally:
        await connection.close()


def an_hour_ago() -> str:
    return (SystemClock().now() - timedelta(hours=1)).isoformat()


@LONG
async def test_killing_the_app_in_the_middle_loses_nothing_and_doubles_nothing(
    fresh_url: URL, tmp_path: Path
) -> None:
    process = Process(fresh_url, tmp_path).start()
    try:
        account = await asyncio.to_thread(sign_up, process.url)
        at = an_hour_ago()

        async def kill_soon() -> None:
            await asyncio.sleep(0.8)
            await asyncio.to_thread(process.kill)

        killing = asyncio.create_task(kill_soon())
        unanswered = await send_all(process.url, account, list(range(BATCHES)), at)
        await killing
        assert unanswered, "the kill came too late to prove anything"
        rows, _ = await stored(fresh_url)
        assert rows >= (BATCHES - len(unanswered)) * BATCH, "an acknowledged event is missing"

        await asyncio.to_thread(process.start)
        assert await send_all(process.url, account, unanswered, at) == []
        assert await stored(fresh_url) == (BATCHES * BATCH, BATCHES * BATCH)
        summary = httpx.get(f"{process.url}/api/v1/usage/summary", headers=account.headers).json()
        assert summary["total_events"] == BATCHES * BATCH
        assert summary["total_tokens"] == BATCHES * BATCH * 110
    finally:
        process.stop()


@LONG
async def test_killing_postgres_is_503_meanwhile_and_heals_by_itself(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    postgres = EmbeddedPostgres(tmp_path / "postgres", durable=True)
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(postgres.ensure_database, "billing")
        database = make_url(postgres.url("billing"))
        await upgrade(database)
        with Process(database, tmp_path) as process:
            account = await asyncio.to_thread(sign_up, process.url)
            at = an_hour_ago()
            assert await send_all(process.url, account, [0], at) == []

            os.kill(await postmaster(database), signal.SIGKILL)
            async with httpx.AsyncClient(
                base_url=process.url, headers=account.headers, timeout=30
            ) as http:
                seen = [
                    await http.post("/api/v1/usage/events/batch", json=batch(1, at)),
                    await http.get("/api/v1/billing/quota"),
                    await http.get("/health/ready"),
                ]
                for answer in seen:
                    assert answer.status_code == 503, answer.text
                    assert int(answer.headers["retry-after"]) > 0
                    assert answer.headers["content-type"] == "application/problem+json"
                assert (await http.get("/health/live")).status_code == 200

                await asyncio.to_thread(postgres.start)
                deadline = time.monotonic() + 20
                while (await http.get("/health/ready")).status_code != 200:
                    assert time.monotonic() < deadline, "the app did not find the database again"
                    await asyncio.sleep(0.1)
            assert await send_all(process.url, account, [0, 1, 2], at) == []
            assert await stored(database) == (3 * BATCH, 3 * BATCH)
    finally:
        await asyncio.to_thread(postgres.destroy)


async def postmaster(database: URL) -> int:
    connection = await asyncpg.connect(**asyncpg_arguments(database))
    backend = connection.get_server_pid()
    parent = Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()[1]
    await connection.close()
    return int(parent)
