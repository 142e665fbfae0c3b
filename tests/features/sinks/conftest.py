"""A service with a Lago and counters that stay in the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import URL, text

from app.gateways.lago.gateway import LagoGateway
from app.gateways.lago.memory import MemoryLago
from app.gateways.redis.gateway import CountersGateway
from app.gateways.redis.memory import MemoryCounters
from app.infra.http.provide import Services
from app.kernel.clock import ManualClock
from app.sinks.service.counters import CounterSink
from app.sinks.service.lago import LagoSink
from tests.support.service import Service, running


@dataclass
class Sinks:
    """The service, and those it tells."""

    service: Service
    lago: MemoryLago
    counters: MemoryCounters

    async def tell(self) -> int:
        return await self.service.services[LagoSink].deliver()

    async def put(self) -> int:
        return await self.service.services[CounterSink].deliver()

    async def notes(self) -> int:
        async with self.service.work.begin_platform() as session:
            return int(await session.scalar(text("select count(*) from usage_notes")) or 0)


@pytest.fixture
async def sinks(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Sinks]:
    lago, counters = MemoryLago(), MemoryCounters()

    def with_sinks(services: Services) -> None:
        services.add(LagoGateway, lago)  # type: ignore[type-abstract]
        services.add(CountersGateway, counters)  # type: ignore[type-abstract]

    async with running(fresh_url, clock, replace=with_sinks) as service:
        yield Sinks(service, lago, counters)
