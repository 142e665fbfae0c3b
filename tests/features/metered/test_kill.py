"""Two processes that tell Stripe of use are killed at random, over and over; it counts once."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.features.metered.conftest import Meterage
from tests.support.long import LONG

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = 3
EVENTS_A_ROUND = 60


async def killed_after(meterage: Meterage, database_url: str, seconds: float) -> None:
    now = meterage.shop.clock.now().isoformat()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.teller"),
        *(database_url, meterage.shop.account.base_url, now),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        while b"ready" not in (line := await asyncio.wait_for(process.stdout.readline(), 90)):
            assert line, "it ended before it was ready"
        reading = asyncio.create_task(process.stdout.read())
        await asyncio.sleep(seconds)
        assert process.returncode is None, "it would have gone on for ever"
        process.kill()
        await process.wait()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@LONG
@pytest.mark.timeout(300)
async def test_use_counts_once_through_kill_9(meterage: Meterage, fresh_url) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    url = fresh_url.render_as_string(hide_password=False)

    async def record(number: int) -> None:
        for part in range(EVENTS_A_ROUND // 5):
            await meterage.use(*(f"{number}-{part}-{n}" for n in range(5)))
            await asyncio.sleep(0.02)

    for number in range(ROUNDS):
        await record(number)
        await asyncio.gather(
            *(killed_after(meterage, url, chance.uniform(0.05, 0.6)) for _ in range(2))
        )
        # What the dead had leased is free again.
        meterage.shop.clock.advance(timedelta(minutes=6))
    told_by_the_dead = meterage.at_stripe("debates")
    await meterage.report()
    total = ROUNDS * EVENTS_A_ROUND
    assert 0 < told_by_the_dead <= total
    assert meterage.at_stripe("debates") == total
    assert meterage.at_stripe("tokens_input") == total * 1000
    assert {row["state"] for row in await meterage.batches()} == {"sent"}
