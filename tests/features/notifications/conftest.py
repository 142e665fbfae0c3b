"""A service whose endpoints and notification webhook are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import URL, text

from app.gateways.hooks.gateway import ChatGateway, HookGateway
from app.gateways.hooks.memory import MemoryChat, MemoryHooks
from app.infra.http.provide import Services
from app.kernel.clock import ManualClock
from tests.conftest import START
from tests.support.service import Service, running


@dataclass
class Hooked:
    """The service, and what it called."""

    service: Service
    hooks: MemoryHooks
    chat: MemoryChat


@pytest.fixture(scope="session")
async def shared_hooked(database_url: URL) -> AsyncIterator[Hooked]:
    hooks, chat = MemoryHooks(), MemoryChat()

    def in_memory(services: Services) -> None:
        services.add(HookGateway, hooks)  # type: ignore[type-abstract]
        services.add(ChatGateway, chat)  # type: ignore[type-abstract]

    async with running(database_url, ManualClock(START), replace=in_memory) as service:
        yield Hooked(service, hooks, chat)


@pytest.fixture
async def hooked(shared_hooked: Hooked) -> AsyncIterator[Hooked]:
    shared_hooked.service.clock.set(START)
    yield shared_hooked
    for kept in (
        shared_hooked.hooks.posted,
        shared_hooked.hooks.answers,
        shared_hooked.chat.notes,
        shared_hooked.chat.failures,
    ):
        kept.clear()
    async with shared_hooked.service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
