"""Everything a use-case changes, and everything that must follow from it, or nothing.

One `UnitOfWork` serves a process; the unit that is open belongs to the task that opened it. Four
guards keep the transaction law (architecture 5):

- a query outside a unit raises `NoUnitOpen`;
- a gateway called inside a unit raises `GatewayInsideUnit` (see `refuse_inside_unit`);
- a unit whose inner use-case failed cannot commit, even if the failure was swallowed: `UnitDoomed`;
- facts and jobs are rows of the same commit, or they are not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.infra.db.engine import Sessions
from app.infra.jobs.queue import JobQueue, NewJob
from app.kernel.facts import Fact
from app.kernel.ids import OrganizationId


class NoUnitOpen(RuntimeError):
    """A repository was used outside a unit of work."""


class UnitDoomed(RuntimeError):
    """An inner use-case failed; the unit around it must not commit what is left."""


class GatewayInsideUnit(RuntimeError):
    """Something was about to call the outside world while a transaction was open."""


class TenantMismatch(RuntimeError):
    """A unit opened for one organization was asked to work for another."""


@dataclass
class _Unit:
    session: AsyncSession
    owner: asyncio.Task[object] | None
    organization_id: OrganizationId | None
    facts: list[Fact] = field(default_factory=list)
    jobs: list[NewJob] = field(default_factory=list)
    doomed: bool = False


_current: ContextVar[_Unit | None] = ContextVar("unit_of_work", default=None)

BeforeCommit = Callable[[AsyncSession], Awaitable[None]]
Followers = Callable[[Sequence[Fact]], Sequence[NewJob]]
Witness = Callable[[Sequence[NewJob]], Awaitable[None]]
"""Is shown the jobs that a unit's facts wake while the unit is still open."""


def _mine() -> _Unit | None:
    """The open unit, unless it was inherited from the task that spawned this one."""
    unit = _current.get()
    if unit is None or unit.owner is not asyncio.current_task():
        return None
    return unit


def refuse_inside_unit() -> None:
    """Raises `GatewayInsideUnit` while a unit is open. Every gateway method begins with this."""
    if _mine() is not None:
        raise GatewayInsideUnit("close the unit of work before calling the outside world")


class UnitOfWork:
    """Opens units for a tenant or for the platform; a nested one joins the one around it."""

    def __init__(
        self,
        sessions: Sessions,
        jobs: JobQueue,
        *,
        followers: Followers = lambda _: (),
        before_commit: Sequence[BeforeCommit] = (),
    ) -> None:
        self._sessions = sessions
        self._jobs = jobs
        self._followers = followers
        self._before_commit = before_commit
        self._witnesses: list[Witness] = []

    def attend(self, witness: Witness) -> None:
        """Let *witness* write down what happened in the order in which it happens.

        Jobs run side by side and keep no order. A witness is called in the unit that announces,
        so what it writes is of that commit; it must not announce anything itself.
        """
        self._witnesses.append(witness)

    @asynccontextmanager
    async def begin(self, organization_id: OrganizationId) -> AsyncIterator[AsyncSession]:
        """A unit for one organization. Raises `TenantMismatch` inside a unit for another."""
        unit = _mine()
        if unit is not None and unit.organization_id not in (None, organization_id):
            raise TenantMismatch(f"this unit is for {unit.organization_id}")
        async with self._join_or_open(unit, organization_id) as session:
            yield session

    @asynccontextmanager
    async def begin_platform(self) -> AsyncIterator[AsyncSession]:
        """A unit for tables of nobody's, for operators, and for jobs that see all tenants."""
        async with self._join_or_open(_mine(), None) as session:
            yield session

    @property
    def session(self) -> AsyncSession:
        """The session of the open unit. Raises `NoUnitOpen`."""
        unit = _mine()
        if unit is None:
            raise NoUnitOpen("open a unit first: async with work.begin(organization_id)")
        return unit.session

    def announce(self, fact: Fact) -> None:
        """Tell whoever subscribes to this kind of fact, in the commit that makes it true."""
        self._open_unit().facts.append(fact)

    def enqueue(
        self,
        job: str,
        payload: Mapping[str, object],
        *,
        dedupe_key: str | None = None,
        due_at: datetime | None = None,
    ) -> None:
        """Ask for *job* to run after this commit, or at *due_at*.

        While a job with the same *dedupe_key* waits or runs, a second one is not added.
        """
        self._open_unit().jobs.append(
            NewJob(name=job, payload=payload, dedupe_key=dedupe_key, due_at=due_at)
        )

    def _open_unit(self) -> _Unit:
        unit = _mine()
        if unit is None:
            raise NoUnitOpen("facts and jobs belong to a unit of work")
        return unit

    @asynccontextmanager
    async def _join_or_open(
        self, unit: _Unit | None, organization_id: OrganizationId | None
    ) -> AsyncIterator[AsyncSession]:
        if unit is not None:
            try:
                yield unit.session
            except BaseException:
                unit.doomed = True
                raise
            return
        async with self._sessions() as session:
            unit = _Unit(session, asyncio.current_task(), organization_id)
            session.info["organization_id"] = organization_id
            token = _current.set(unit)
            try:
                async with session.begin():
                    yield session
                    if unit.doomed:
                        raise UnitDoomed("an inner use-case failed and its failure was swallowed")
                    woken = self._followers(unit.facts)
                    if woken:
                        for witness in self._witnesses:
                            await witness(woken)
                    await self._jobs.enqueue(session, [*unit.jobs, *woken])
                    for hook in self._before_commit:
                        await hook(session)
            finally:
                _current.reset(token)
