"""What one process revokes, another refuses: within a second, and without being asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.errors import TokenRevoked
from app.auth.service.principal_cache import PrincipalCache
from app.infra.db.engine import asyncpg_arguments
from app.infra.db.signals import Signals
from app.infra.http.principal import Credentials, PrincipalResolver
from app.organizations.service import OrganizationService
from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running

ME = "/api/v1/auth/me"
WITHIN_SECONDS = 1.0


@pytest.fixture
async def other(service: Service, database_url: URL) -> AsyncIterator[Service]:
    """A second process of the same deployment, as far as the database can tell."""
    async with running(database_url, service.clock) as second:
        yield second


async def status(service: Service, token: str) -> int:
    async with service.client(token) as client:
        return (await client.get(ME)).status_code


async def seconds_until_refused(service: Service, token: str) -> float:
    began = time.perf_counter()
    while await status(service, token) == 200:
        assert time.perf_counter() - began < 5, "never refused"
        await asyncio.sleep(0.001)
    return time.perf_counter() - began


@contextmanager
def counted(service: Service) -> Iterator[list[str]]:
    """The statements that the service sends meanwhile."""
    statements: list[str] = []
    engine = service.services[AsyncEngine].sync_engine

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def bearer(token: str) -> Credentials:
    return Credentials(
        bearer=token, api_key=None, cookie=None, csrf_token=None, is_safe_method=True
    )


def resolver_of(service: Service) -> PrincipalResolver:
    return service.services[PrincipalResolver]  # type: ignore[type-abstract]


async def test_a_revoked_token_is_refused_by_the_other_process_within_a_second(
    service: Service, other: Service
) -> None:
    delays: list[float] = []
    for _ in range(5):
        owner = await an_owner(service)
        assert await status(other, owner.token) == 200
        assert await status(other, owner.token) == 200
        answer = await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
        assert answer.status_code == 200
        assert await status(service, owner.token) == 401
        delays.append(await seconds_until_refused(other, owner.token))
    worst = max(delays)
    print(f"revocation reached the other process in at most {worst * 1000:.1f} ms")
    assert worst < WITHIN_SECONDS, f"took {worst:.3f} s"


async def test_a_fresh_process_knows_what_was_revoked_before_it_started(
    service: Service, database_url: URL
) -> None:
    owner = await an_owner(service)
    await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
    async with running(database_url, service.clock) as fresh:
        assert await status(fresh, owner.token) == 401


async def test_every_change_of_rights_reaches_the_other_process(
    service: Service, other: Service
) -> None:
    owner = await an_owner(service, plan="professional")
    organizations = service.services[OrganizationService]
    key = (await owner.client.post("/api/v1/auth/api-keys", json={"name": "k"})).json()

    assert await status(other, key["key"]) == 200
    await organizations.suspend(owner.organization_id, "test")
    assert await seconds_until_refused(other, key["key"]) < WITHIN_SECONDS
    await organizations.restore(owner.organization_id, "test")
    assert await status(other, key["key"]) == 200

    await owner.client.delete(f"/api/v1/auth/api-keys/{key['id']}")
    assert await seconds_until_refused(other, key["key"]) < WITHIN_SECONDS

    assert await status(other, owner.token) == 200
    await owner.client.post("/api/v1/auth/logout")
    assert await seconds_until_refused(other, owner.token) < WITHIN_SECONDS


async def test_a_known_caller_costs_no_query(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    key = (await owner.client.post("/api/v1/auth/api-keys", json={"name": "k"})).json()["key"]
    resolver = resolver_of(service)
    for name, credentials in (("token", bearer(owner.token)), ("key", bearer(key))):
        service.clock.advance(seconds=61)
        with counted(service) as first:
            await resolver.resolve(credentials)
        assert first, "after a minute the database is asked again"
        rounds = 2000
        with counted(service) as statements:
            began = time.perf_counter()
            for _ in range(rounds):
                await resolver.resolve(credentials)
            cost = (time.perf_counter() - began) / rounds
        assert statements == []
        print(f"a known {name} costs {cost * 1e6:.1f} µs")
        assert cost < 0.001


async def test_without_ears_every_request_asks_the_database(
    service: Service, database_url: URL
) -> None:
    """The listening connection is cut; what is revoked meanwhile is refused all the same."""
    async with running(database_url, service.clock) as deaf:
        owner = await an_owner(service)
        signals = deaf.services[Signals]
        assert await status(deaf, owner.token) == 200
        assert signals.is_hearing
        await signals.stop()
        assert not signals.is_hearing

        with counted(deaf) as statements:
            assert await status(deaf, owner.token) == 200
        assert statements, "a remembered answer was given by a process that cannot hear"
        await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
        assert await status(deaf, owner.token) == 401
        await signals.start()


async def test_a_cut_connection_is_noticed_and_replaced(
    service: Service, other: Service, database_url: URL
) -> None:
    owner, later = await an_owner(service), await an_owner(service)
    signals = other.services[Signals]
    assert await status(other, owner.token) == 200
    cutter = await asyncpg.connect(**asyncpg_arguments(database_url))
    try:
        await cutter.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'aragora-billing-signals'"
        )
    finally:
        await cutter.close()
    await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
    assert await seconds_until_refused(other, owner.token) < WITHIN_SECONDS

    for each in (service.services[Signals], signals):
        async with asyncio.timeout(5):
            while not each.is_hearing:
                await asyncio.sleep(0.01)
    assert await status(other, later.token) == 200
    await later.client.post("/api/v1/auth/revoke", json={"token": later.token})
    assert await seconds_until_refused(other, later.token) < WITHIN_SECONDS


class _SlowlyRemembering(PrincipalCache):
    """Holds on to what was read until it is told to keep it."""

    def __init__(self, signals: Signals) -> None:
        super().__init__(signals)
        self.read = asyncio.Event()
        self.kept: list[tuple[Any, ...]] = []

    def remember(self, *arguments: Any) -> None:
        self.kept.append(arguments)

    def keep_now(self) -> None:
        for arguments in self.kept:
            super().remember(*arguments)


async def test_what_was_read_before_a_revocation_is_not_kept_after_it(service: Service) -> None:
    """The race: read from the database, hear of the revocation, then remember the old reading."""
    owner: Owner = await an_owner(service)
    resolver: Any = resolver_of(service)
    slow = _SlowlyRemembering(service.services[Signals])
    original, resolver._cache = resolver._cache, slow
    try:
        assert await status(service, owner.token) == 200
        await owner.client.post("/api/v1/auth/revoke", json={"token": owner.token})
        slow.keep_now()
        assert await status(service, owner.token) == 401
    finally:
        resolver._cache = original


async def test_who_presents_the_same_at_once_shares_a_look_up(service: Service) -> None:
    owner = await an_owner(service)
    resolver = resolver_of(service)
    service.clock.advance(seconds=61)
    with counted(service) as alone:
        await resolver.resolve(bearer(owner.token))
    service.clock.advance(seconds=61)
    with counted(service) as together:
        found = await asyncio.gather(*(resolver.resolve(bearer(owner.token)) for _ in range(20)))
    assert {each.user_id for each in found} == {owner.user_id}
    assert len(together) == len(alone)


class _HeldSessions:
    """Reads sessions, and holds on to each until it may go on."""

    def __init__(self, sessions: Any) -> None:
        self._sessions = sessions
        self.finished_reading = 0
        self.may_go_on = asyncio.Event()

    async def find(self, session_id: Any) -> Any:
        found = await self._sessions.find(session_id)
        self.finished_reading += 1
        if self.finished_reading == 1:
            await self.may_go_on.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sessions, name)


async def test_nobody_shares_a_look_up_from_before_a_revocation(service: Service) -> None:
    """A look-up has read the session and waits; the token ends; the next request asks anew."""
    owner = await an_owner(service)
    resolver: Any = resolver_of(service)
    service.clock.advance(seconds=61)
    held = _HeldSessions(resolver._sessions)
    original, resolver._sessions = resolver._sessions, held
    try:
        before = asyncio.create_task(resolver.resolve(bearer(owner.token)))
        while not held.finished_reading:
            await asyncio.sleep(0.001)
        async with service.work.begin_platform() as session:
            await session.execute(
                text("update auth_sessions set revoked_at = :now where user_id = :user"),
                {"now": service.clock.now(), "user": owner.user_id},
            )
            await service.services[Signals].send(session, f"user:{owner.user_id}")
        with pytest.raises(TokenRevoked):
            await resolver.resolve(bearer(owner.token))
        held.may_go_on.set()
        await before
        with pytest.raises(TokenRevoked):
            await resolver.resolve(bearer(owner.token))
    finally:
        resolver._sessions = original


async def test_a_caller_who_leaves_does_not_take_the_look_up_along(service: Service) -> None:
    owner = await an_owner(service)
    resolver: Any = resolver_of(service)
    service.clock.advance(seconds=61)
    held = _HeldSessions(resolver._sessions)
    original, resolver._sessions = resolver._sessions, held
    try:
        first, second = (
            asyncio.create_task(resolver.resolve(bearer(owner.token))) for _ in range(2)
        )
        while not held.finished_reading:
            await asyncio.sleep(0.001)
        first.cancel()
        held.may_go_on.set()
        assert (await second).user_id == owner.user_id
        assert held.finished_reading == 1
    finally:
        resolver._sessions = original
