"""A service that has webhook secrets, in a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from tests.conftest import START
from tests.features.subscriptions.conftest import shared_store, store, store_url
from tests.support import database
from tests.support.service import Service, running
from tests.support.stripe_events import OLDER_SECRET, SECRET

__all__ = ["shared_store", "store", "store_url"]


@pytest.fixture(scope="session")
async def inbox_url(postgres: URL, database_url: URL) -> AsyncIterator[URL]:
    name = f"{database.TEMPLATE}_{new_id().hex}"
    yield await database.clone(postgres, name)
    await database.drop(postgres, name)


@pytest.fixture(scope="session")
async def shared_inbox_service(inbox_url: URL) -> AsyncIterator[Service]:
    secrets = (SecretStr(SECRET), SecretStr(OLDER_SECRET))
    async with running(inbox_url, ManualClock(START), stripe_webhook_secrets=secrets) as service:
        yield service


@pytest.fixture
async def service(shared_inbox_service: Service) -> AsyncIterator[Service]:
    shared_inbox_service.clock.set(START)
    yield shared_inbox_service
    async with shared_inbox_service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
        await session.execute(text("delete from stripe_events"))
