"""Two processes on one database: what one does, the other respects."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from app.kernel.clock import SystemClock
from tests.support.process import Process
from tests.support.sign_up import sign_up

pytestmark = pytest.mark.xdist_group("two processes")


@pytest.fixture(scope="module")
def pair(database_url: URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Process]]:
    data_dir: Path = tmp_path_factory.mktemp("pair")
    with Process(database_url, data_dir) as first, Process(database_url, data_dir) as second:
        yield [first, second]


async def test_a_token_revoked_in_one_is_refused_by_the_other_within_a_second(
    pair: list[Process],
) -> None:
    first, second = pair
    delays: list[float] = []
    for _ in range(5):
        account = sign_up(first.url)
        async with (
            httpx.AsyncClient(base_url=first.url, headers=account.headers, timeout=10) as here,
            httpx.AsyncClient(base_url=second.url, headers=account.headers, timeout=10) as there,
        ):
            # The other process knows the token by heart before it is revoked.
            assert (await there.get("/api/v1/auth/me")).status_code == 200
            assert (await here.post("/api/v1/auth/logout")).status_code == 200
            revoked = time.perf_counter()
            while (await there.get("/api/v1/auth/me")).status_code == 200:
                assert time.perf_counter() - revoked < 1, "still accepted a second later"
            delays.append(time.perf_counter() - revoked)
    assert max(delays) < 1, delays


async def test_a_revocation_survives_a_restart(
    database_url: URL, tmp_path: Path, pair: list[Process]
) -> None:
    account = sign_up(pair[0].url)
    httpx.post(f"{pair[0].url}/api/v1/auth/logout", headers=account.headers).raise_for_status()
    with Process(database_url, tmp_path) as restarted:
        answer = httpx.get(f"{restarted.url}/api/v1/auth/me", headers=account.headers)
    assert answer.status_code == 401


async def test_exactly_the_last_ten_of_a_hundred_get_through(pair: list[Process]) -> None:
    """The free plan has 10 debates; 100 ask at once, half of them in each process."""
    account = sign_up(pair[0].url)
    async with (
        httpx.AsyncClient(base_url=pair[0].url, headers=account.headers, timeout=60) as here,
        httpx.AsyncClient(base_url=pair[1].url, headers=account.headers, timeout=60) as there,
    ):
        answers = await asyncio.gather(
            *(
                (here, there)[number % 2].post(
                    "/api/v1/usage/events?enforce=true",
                    json={"id": f"race-{number}", "type": "debate"},
                )
                for number in range(100)
            )
        )
        quota = (await there.get("/api/v1/billing/quota")).json()["data"]
    assert Counter(answer.status_code for answer in answers) == {201: 10, 402: 90}
    refusal = next(answer.json() for answer in answers if answer.status_code == 402)
    assert refusal["code"] == "quota_exceeded"
    debates = next(item for item in quota if item["metric"] == "debates")
    assert float(debates["used"]) == 10
    assert float(debates["remaining"]) == 0


async def test_the_same_event_in_both_at_once_is_recorded_once(pair: list[Process]) -> None:
    account = sign_up(pair[0].url)
    event = {
        "id": "twice",
        "type": "tokens",
        "provider": "openai",
        "model": "gpt-4o",
        "tokens_in": 1000,
        "tokens_out": 10,
        "occurred_at": (SystemClock().now() - timedelta(minutes=1)).isoformat(),
    }
    async with (
        httpx.AsyncClient(base_url=pair[0].url, headers=account.headers, timeout=60) as here,
        httpx.AsyncClient(base_url=pair[1].url, headers=account.headers, timeout=60) as there,
    ):
        answers = await asyncio.gather(
            *(
                (here, there)[number % 2].post("/api/v1/usage/events", json=event)
                for number in range(40)
            )
        )
        summary = (await here.get("/api/v1/usage/summary")).json()
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 39}
    assert summary["total_events"] == 1
    assert summary["total_cost_usd"] == "0.0026"
