"""A shop of our own for each story, in a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from app.kernel.clock import ManualClock
from tests.support.stripe_account import Shop, a_shop


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as shop:
        yield shop
