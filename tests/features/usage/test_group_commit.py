"""Group commit: grouping, one bad item among good ones, overload, a lost database, a clean stop."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.kernel.clock import ManualClock
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId
from app.organizations.service import OrganizationService
from app.usage.errors import EventNotStorable, UsageOverloaded
from app.usage.service import group_commit
from app.usage.service.group_commit import GroupCommit
from app.usage.service.ingest import UsageIngest
from app.usage.service.submission import Recorded
from app.usage.wire.events import read_event
from tests.factories.people import Owner, an_owner
from tests.support.recount import broken
from tests.support.service import Service, running

EVENTS = "/api/v1/usage/events"


class Connection:
    """As much of a connection as the group commit looks at."""

    def __init__(self) -> None:
        self.terminated = False

    def is_closed(self) -> bool:
        return self.terminated

    def terminate(self) -> None:
        self.terminated = True

    async def close(self, timeout: float) -> None:
        self.terminated = True


class Table:
    """Flushes into a list; blocks, fails and loses its connection on demand."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.flushes: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failures: list[Exception] = []
        self.down = False
        self.bad: set[int] = set()
        self.connections = 0

    async def connect(self) -> Any:
        if self.down:
            raise ConnectionRefusedError
        self.connections += 1
        return Connection()

    async def flush(self, _: Any, items: Sequence[int]) -> Sequence[int | BillingError]:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.bad & set(items):
            raise asyncpg.NumericValueOutOfRangeError
        self.flushes.append(len(items))
        self.rows += items
        return [item * 10 for item in items]


@pytest.fixture
async def table() -> Table:
    return Table()


@pytest.fixture
async def group(table: Table) -> Any:
    group: GroupCommit[int, int] = GroupCommit(table.connect, table.flush)
    await group.start()
    yield group
    table.open.set()
    await group.stop()


async def test_what_waits_is_written_together(table: Table, group: GroupCommit[int, int]) -> None:
    table.open.clear()
    waiting = [asyncio.create_task(group.submit([number])) for number in range(100)]
    await asyncio.sleep(0.01)
    table.open.set()
    assert await asyncio.gather(*waiting) == [[number * 10] for number in range(100)]
    assert sorted(table.rows) == list(range(100))
    assert len(table.flushes) <= 4
    assert await group.submit([7, 8]) == [70, 80]


async def test_one_bad_item_does_not_fail_its_neighbours(
    table: Table, group: GroupCommit[int, int]
) -> None:
    table.open.clear()
    table.bad = {13, 77}
    waiting = [asyncio.create_task(group.submit([number])) for number in range(100)]
    await asyncio.sleep(0.01)
    table.open.set()
    answers = await asyncio.gather(*waiting)
    wrong = [number for number, (answer,) in enumerate(answers) if not isinstance(answer, int)]
    assert wrong == [13, 77]
    assert isinstance(answers[13][0], EventNotStorable)
    assert sorted(table.rows) == [number for number in range(100) if number not in (13, 77)]


async def test_a_deadlock_is_tried_again(table: Table, group: GroupCommit[int, int]) -> None:
    table.failures = [asyncpg.DeadlockDetectedError(), asyncpg.SerializationError()]
    assert await group.submit([1]) == [10]


async def test_a_lost_connection_is_replaced(table: Table, group: GroupCommit[int, int]) -> None:
    assert await group.submit([1]) == [10]
    lost = (ConnectionResetError(), asyncpg.AdminShutdownError(), TimeoutError())
    for error in (*lost, asyncpg.InternalClientError()):
        table.failures = [error]
        assert await group.submit([2]) == [20]
    assert table.connections >= 5


async def test_a_database_that_is_down_is_said_and_found_again(
    table: Table, group: GroupCommit[int, int]
) -> None:
    table.down = True
    with pytest.raises(Unavailable) as caught:
        await group.submit([1])
    assert caught.value.code == "database_unavailable"
    assert caught.value.retry_after_seconds >= 1
    table.down = False
    assert await group.submit([1]) == [10]


async def test_a_full_disk_is_not_the_events_fault(
    table: Table, group: GroupCommit[int, int]
) -> None:
    table.failures = [asyncpg.DiskFullError(), asyncpg.DiskFullError()]
    with pytest.raises(Unavailable):
        await group.submit([1, 2, 3])
    assert await group.submit([1, 2, 3]) == [10, 20, 30]


async def test_too_many_waiting_are_refused(
    table: Table, group: GroupCommit[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING", 50)
    table.open.clear()
    waiting = [asyncio.create_task(group.submit([number])) for number in range(80)]
    await asyncio.sleep(0.01)
    table.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, UsageOverloaded)]
    assert len(refused) >= 20
    assert len(table.rows) == 80 - len(refused)


async def test_a_caller_who_leaves_does_not_take_the_item_back(
    table: Table, group: GroupCommit[int, int]
) -> None:
    table.open.clear()
    leaving = asyncio.create_task(group.submit([1]))
    staying = asyncio.create_task(group.submit([2]))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0)
    table.open.set()
    assert await staying == [20]
    assert sorted(table.rows) == [1, 2]


async def test_a_stop_writes_and_answers_what_was_accepted(table: Table) -> None:
    group: GroupCommit[int, int] = GroupCommit(table.connect, table.flush)
    await group.start()
    table.open.clear()
    waiting = [asyncio.create_task(group.submit([number])) for number in range(50)]
    await asyncio.sleep(0.01)
    stopping = asyncio.create_task(group.stop())
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await group.submit([99])
    table.open.set()
    await stopping
    assert [await each for each in waiting] == [[number * 10] for number in range(50)]


async def test_a_batch_does_not_keep_single_events_waiting(
    table: Table, group: GroupCommit[int, int]
) -> None:
    table.open.clear()
    for number in range(2):
        asyncio.create_task(group.submit([number]))  # noqa: RUF006 - it occupies a flusher
    await asyncio.sleep(0.01)
    batches = [asyncio.create_task(group.submit([100] * 1_000)) for _ in range(6)]
    await asyncio.sleep(0.01)
    single = asyncio.create_task(group.submit([5]))
    await asyncio.sleep(0.01)
    table.open.set()
    assert await single == [50]
    await asyncio.gather(*batches)
    # It came last and was written with the first batches, not after the sixth.
    assert table.rows.index(5) < 3_500


async def send(owner: Owner, **event: Any) -> httpx.Response:
    return await owner.client.post(EVENTS, json={"type": "debate", **event})


async def test_an_event_that_cannot_be_stored_is_alone_in_that(service: Service) -> None:
    """A counter that would overflow is the database's refusal, not a fault of validation."""
    owner, neighbour = await an_owner(service, "enterprise"), await an_owner(service)
    await send(owner, id="first")
    async with service.work.begin(owner.organization_id) as session:
        await session.execute(
            text("update usage_counters set used = 99999999999999999999999999"),
        )
    answers = await asyncio.gather(
        send(owner, id="too much", quantity=10**14),
        *(send(neighbour, id=f"n{number}") for number in range(9)),
    )
    assert [answer.status_code for answer in answers[1:]] == [201] * 9
    assert (answers[0].status_code, answers[0].json()["code"]) == (422, "event_not_storable")
    async with service.work.begin_platform() as session:
        await session.execute(text("update usage_counters set used = 1 where used > 1000000"))


async def test_a_cut_connection_is_survived(fresh_url: URL, clock: ManualClock) -> None:
    """Every backend of the database is killed under load; nothing is lost or counted twice."""
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service, "enterprise")
        await send(owner, id="warm")
        killer = await asyncpg.connect(
            dsn=fresh_url.set(drivername="postgresql").render_as_string(hide_password=False)
        )
        acknowledged: set[str] = set()

        async def one(number: int) -> None:
            await asyncio.sleep(number / 400)
            for _ in range(60):
                answer = await send(owner, id=f"n{number}")
                if answer.status_code in (200, 201):
                    acknowledged.add(f"n{number}")
                    return
                assert answer.status_code == 503, answer.text
                assert "retry-after" in answer.headers
                await asyncio.sleep(0.05)

        async def kill() -> None:
            for _ in range(4):
                await asyncio.sleep(0.1)
                await killer.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

        await asyncio.gather(kill(), *(one(number) for number in range(200)))
        await killer.close()
        assert len(acknowledged) == 200
        # What the pool still holds may have been killed; look through a connection of today.
        await service.services[AsyncEngine].dispose()
        async with service.work.begin(owner.organization_id) as session:
            rows = await session.scalar(text("select count(*) from usage_events"))
            hours = await session.scalar(text("select sum(events) from usage_hourly"))
        assert rows == hours == 201


async def test_two_instances_on_the_same_rows_never_wait_in_a_circle(
    fresh_url: URL, clock: ManualClock
) -> None:
    """Flushes of both carry events of the same forty organizations, in every order."""
    async with running(fresh_url, clock) as one, running(fresh_url, clock) as two:
        owner = await an_owner(one)
        create = one.services[OrganizationService].create
        tenants = [(await create(f"n{number}", owner.user_id)).id for number in range(40)]

        async def record(service: Service, round_: int, tenant: OrganizationId) -> None:
            ingest = service.services[UsageIngest]
            body = b'{"id": "%d", "type": "debate", "agent": "a", "model": "m"}' % round_
            enforce = round_ % 3 == 0
            (answer,) = await ingest.record(tenant, [read_event(body, None)], enforce=enforce)
            assert not isinstance(answer, BillingError) or answer.code == "quota_exceeded"

        for round_ in range(12):
            order = tenants if round_ % 2 else tenants[::-1]
            await asyncio.gather(
                *(record(one, round_, tenant) for tenant in order),
                *(record(two, round_ + 100, tenant) for tenant in reversed(order)),
                *(record(two, round_, tenant) for tenant in order),
            )
        async with one.work.begin_platform() as session:
            deadlocks = await session.scalar(
                text("select deadlocks from pg_stat_database where datname = current_database()")
            )
            rows = await session.scalar(text("select count(*) from usage_events"))
            keys = await session.scalar(text("select count(*) from usage_keys"))
            hours = await session.scalar(text("select sum(events) from usage_hourly"))
        assert deadlocks == 0
        assert rows == keys == hours


async def test_the_service_drains_on_its_way_out(fresh_url: URL, clock: ManualClock) -> None:
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service)
        await owner.client.get("/api/v1/usage/summary")
        sending = [asyncio.create_task(send(owner, id=f"n{number}")) for number in range(30)]
        await asyncio.sleep(0.02)
        await service.services[UsageIngest].close()
        answers = await asyncio.gather(*sending)
        accepted = [answer for answer in answers if answer.status_code == 201]
        assert all(answer.status_code in (201, 503) for answer in answers)
        async with service.work.begin(owner.organization_id) as session:
            rows = await session.scalar(text("select count(*) from usage_events"))
        assert rows == len(accepted)


async def test_a_flush_that_is_sent_again_finds_its_own_events(
    fresh_url: URL, clock: ManualClock
) -> None:
    """The connection was lost after the commit; nobody knows, so the same flush comes again."""
    async with running(fresh_url, clock) as service:
        owner = await an_owner(service)
        ingest = service.services[UsageIngest]
        flush, flushed = ingest._flush, 0

        async def lose_the_answer(connection: Any, items: Any) -> Any:
            nonlocal flushed
            answers = await flush(connection, items)
            flushed += 1
            if flushed == 1:
                raise ConnectionResetError
            return answers

        ingest._group._flush = lose_the_answer
        events = [
            read_event(b'{"id": "n%d", "type": "debate"}' % number, None) for number in (1, 2)
        ]
        answers = await ingest.record(owner.organization_id, [*events, events[0]])
        assert flushed == 2
        recorded = [answer for answer in answers if isinstance(answer, Recorded)]
        assert [answer.is_repeat for answer in recorded] == [False, False, True]
        assert await broken(service) == {}
        async with service.work.begin(owner.organization_id) as session:
            assert await session.scalar(text("select count(*) from usage_events")) == 2
