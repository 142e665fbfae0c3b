"""The transaction law keeps itself."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text

from app.infra.db.engine import Sessions
from app.infra.db.unit_of_work import (
    GatewayInsideUnit,
    NoUnitOpen,
    TenantMismatch,
    UnitDoomed,
    UnitOfWork,
    refuse_inside_unit,
)
from app.kernel.ids import OrganizationId, new_id

KEY = text(
    "insert into rate_limits (key, hits, expires_at) values (:key, 1, 0) on conflict do nothing"
)


def an_organization_id() -> OrganizationId:
    return OrganizationId(new_id())


async def stored(sessions: Sessions, key: str) -> bool:
    async with sessions() as session, session.begin():
        found = await session.scalar(
            text("select count(*) from rate_limits where key = :key"), {"key": key}
        )
    return bool(found)


async def test_a_unit_commits_once_at_its_end(work: UnitOfWork, sessions: Sessions) -> None:
    key = str(new_id())
    async with work.begin_platform():
        await work.session.execute(KEY, {"key": key})
        assert not await stored(sessions, key)
    assert await stored(sessions, key)


async def test_a_query_outside_a_unit_is_refused(work: UnitOfWork, sessions: Sessions) -> None:
    with pytest.raises(NoUnitOpen):
        _ = work.session
    with pytest.raises(NoUnitOpen):
        work.enqueue("some.job", {})
    async with sessions() as session:
        with pytest.raises(Exception, match="Autobegin is disabled"):
            await session.execute(text("select 1"))


async def test_a_gateway_inside_a_unit_is_refused(work: UnitOfWork) -> None:
    refuse_inside_unit()
    async with work.begin(an_organization_id()):
        with pytest.raises(GatewayInsideUnit):
            refuse_inside_unit()
    refuse_inside_unit()


async def test_a_swallowed_inner_failure_dooms_the_unit(
    work: UnitOfWork, sessions: Sessions
) -> None:
    key = str(new_id())

    async def inner() -> None:
        async with work.begin_platform():
            raise LookupError

    with pytest.raises(UnitDoomed):
        async with work.begin_platform():
            await work.session.execute(KEY, {"key": key})
            try:
                await inner()
            except LookupError:
                pass
    assert not await stored(sessions, key)


async def test_an_inner_unit_joins_and_rolls_back_with_the_outer(
    work: UnitOfWork, sessions: Sessions
) -> None:
    key = str(new_id())
    with pytest.raises(LookupError):
        async with work.begin_platform():
            async with work.begin(an_organization_id()):
                await work.session.execute(KEY, {"key": key})
            raise LookupError
    assert not await stored(sessions, key)


async def test_a_unit_for_one_tenant_refuses_another(work: UnitOfWork) -> None:
    first, second = an_organization_id(), an_organization_id()
    async with work.begin(first):
        async with work.begin(first):
            assert work.session.info["organization_id"] == first
        with pytest.raises(TenantMismatch):
            async with work.begin(second):
                pass


async def test_a_task_does_not_inherit_the_unit_of_its_parent(work: UnitOfWork) -> None:
    sessions_seen: list[UUID | None] = []

    async def child(organization_id: OrganizationId) -> None:
        with pytest.raises(NoUnitOpen):
            _ = work.session
        async with work.begin(organization_id) as session:
            sessions_seen.append(session.info["organization_id"])

    async with work.begin(an_organization_id()) as mine:
        other = an_organization_id()
        await asyncio.create_task(child(other))
        assert mine.info["organization_id"] != other
        assert sessions_seen == [other]
