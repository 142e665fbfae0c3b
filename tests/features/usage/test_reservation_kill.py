"""Reservations from several processes that are killed at random, and what holds afterwards.

The last test shows what the locks are for: the same function without them grants what is not there.
"""

import asyncio
import random
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import URL, text

from app.infra.db.engine import asyncpg_arguments
from app.kernel.clock import ManualClock, SystemClock
from app.kernel.ids import new_id
from app.usage.ddl.reserve import RESERVE
from app.usage.service.reservations import Reservations
from app.usage.service.spend_limits import SpendLimits
from app.usage.spend import Limit, SpendPeriod, SpendScope
from tests.factories.people import Owner, an_owner
from tests.features.usage.books import books
from tests.features.usage.test_reservations import reserve
from tests.support.long import EVERYTHING
from tests.support.reserver import DEBATES, WORKSPACES
from tests.support.service import Service, running

ROOT = Path(__file__).resolve().parents[3]
OPERATIONS = 500 if EVERYTHING else 240
PROCESSES = 3

LIMITS = (
    (SpendScope.ORGANIZATION, "", "4"),
    *((SpendScope.WORKSPACE, name, "2.4") for name in WORKSPACES),
    *((SpendScope.DEBATE, name, "1.3") for name in DEBATES),
    (SpendScope.MODEL, "openai/gpt-4o", "3.7"),
)
"""A tree in which every node can be the one that says no."""


class Process:
    """One process and what it has acknowledged."""

    def __init__(self, url: URL, owner: Owner) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.owner = owner
        self.acknowledged: set[str] = set()
        self.kills = 0

    async def run(self, seed: int, operations: int, kill_after: float | None) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.reserver", self.url),
            *(str(self.owner.organization_id), str(seed), str(operations)),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            ready = await asyncio.wait_for(process.stdout.readline(), 60)
            assert ready.strip() == b"ready" or b"[" in ready, ready
            if kill_after is None:
                await self._read(process.stdout)
                assert await process.wait() == 0
                return
            reading = asyncio.create_task(self._read(process.stdout))
            await asyncio.sleep(kill_after)
            process.kill()
            self.kills += 1
            await process.wait()
            await reading
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        async for line in stdout:
            # A line that was cut in the middle was not read by anybody.
            if line.endswith(b"\n") and b"-" in line and b" " not in line:
                self.acknowledged.add(line.decode().strip())


async def a_tree(service: Service, owner: Owner) -> list[Limit]:
    limits = [
        Limit(
            id=new_id(),
            scope=scope,
            subject=subject,
            period=SpendPeriod.TOTAL,
            amount_usd=Decimal(amount),
            soft_usd=None,
            hard_usd=Decimal(amount),
            thresholds=(),
            auto_suspend=False,
        )
        for scope, subject, amount in LIMITS
    ]
    for limit in limits:
        await service.services[SpendLimits].put(owner.organization_id, limit)
    return limits


async def posted_by_events(service: Service, owner: Owner, limit: Limit) -> Decimal:
    column = {
        SpendScope.ORGANIZATION: "''",
        SpendScope.WORKSPACE: "workspace",
        SpendScope.DEBATE: "debate_id",
        SpendScope.MODEL: "provider || '/' || model",
    }[limit.scope]
    async with service.work.begin(owner.organization_id) as session:
        found = await session.scalar(
            text(
                "select coalesce(sum(cost_usd), 0) from usage_events"
                f" where organization_id = :organization_id and {column} = :subject"
            ),
            {"organization_id": owner.organization_id, "subject": limit.subject},
        )
    return Decimal(found or 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_books_balance_whoever_is_killed(fresh_url: URL) -> None:
    clock = ManualClock(SystemClock().now())
    chance = random.Random(20261121)
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service, "professional")
        limits = await a_tree(service, owner)
        processes = [Process(fresh_url, owner) for _ in range(PROCESSES)]
        each = OPERATIONS // PROCESSES + 8

        async def live(number: int, process: Process) -> None:
            await process.run(number * 100, 10_000, 0.3 + chance.random() * 1.5)
            await process.run(number * 100 + 99, each, None)

        await asyncio.gather(*(live(number, each) for number, each in enumerate(processes)))
        assert sum(process.kills for process in processes) == PROCESSES
        acknowledged = {key for process in processes for key in process.acknowledged}
        async with service.work.begin(owner.organization_id) as session:
            recorded = set(await session.scalars(text("select event_key from usage_events")))
            made = await session.scalar(text("select count(*) from reservations"))
        assert acknowledged <= recorded, "what was acknowledged is there"
        assert len(acknowledged) > 30
        assert (made or 0) > 60

        assert await books(service, owner) == [], "held is what reservations hold"
        for limit in limits:
            standing = await service.services[SpendLimits].standing(owner.organization_id, limit.id)
            assert standing.posted == await posted_by_events(service, owner, limit), limit.scope
            assert standing.posted + standing.held + standing.remaining == limit.amount_usd

        clock.set(SystemClock().now() + timedelta(hours=2))
        await service.services[Reservations].expire()
        assert await books(service, owner) == []
        async with service.work.begin(owner.organization_id) as session:
            left = await session.scalar(
                text(
                    "select (select count(*) from reservations where state = 'held')"
                    " + (select count(*) from spend where held <> 0)"
                    " + (select count(*) from usage_counters where held <> 0)"
                )
            )
            deadlocks = await session.scalar(
                text("select deadlocks from pg_stat_database where datname = current_database()")
            )
            uneven = await session.scalar(text(UNEVEN))
        assert left == 0, "no hold outlives its expiry"
        assert deadlocks == 0
        assert uneven == 0, "what was granted was used, given back, or is with children"


# What a reservation was granted, less what it used itself and gave back, went to its children;
# theirs came from nowhere else, and what they used beyond it came out of it too.
UNEVEN = """
with hold as (
    select v.id, v.parent_id, h.*
    from reservations v
    cross join lateral unnest(v.names, v.granted, v.remaining, v.returned, v.committed, v.overshoot)
        as h (name, granted, remaining, returned, committed, overshoot)
)
select count(*)
from hold p
where p.remaining <> 0
    or p.committed - p.overshoot + p.returned > p.granted
    or (
        not exists (select from hold c where c.parent_id = p.id)
        and p.committed - p.overshoot + p.returned <> p.granted
    )
"""


@pytest.mark.parametrize("is_locked", [True, False], ids=["with locks", "without"])
async def test_without_its_locks_the_function_overspends(
    fresh_url: URL, clock: ManualClock, is_locked: bool
) -> None:
    """Two processes ask for the last units at the same time; a pause makes them meet."""
    pausing = RESERVE.replace(
        "    for i in 1 .. v_total loop\n        v_why",
        "    perform pg_sleep(1);\n    for i in 1 .. v_total loop\n        v_why",
    )
    assert pausing != RESERVE
    variant = (
        pausing if is_locked else pausing.replace("for update of p", "").replace("for update", "")
    )
    connection = await asyncpg.connect(**asyncpg_arguments(fresh_url))
    try:
        await connection.execute(variant)
    finally:
        await connection.close()
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        other = Owner(
            two.client(owner.token),
            owner.user_id,
            owner.organization_id,
            owner.email,
            owner.password,
            owner.token,
            owner.refresh_token,
        )
        # Both have a connection by now, so that they start together.
        await reserve(owner, metric="debates", quantity=3)
        await reserve(other, metric="debates")
        answers = await asyncio.gather(
            *(
                reserve(each, metric="debates", quantity=2)
                for _ in range(4)
                for each in (owner, other)
            )
        )
        granted = sum(answer.status_code == 201 for answer in answers)
    if is_locked:
        assert granted == 3
    else:
        assert granted > 3
