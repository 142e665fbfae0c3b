"""A shop of our own for each story, in a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import URL

from app.doctor.domain import CheckState
from app.doctor.service import Doctor
from app.kernel.clock import ManualClock
from tests.support.stripe_account import Shop, a_shop


@pytest.fixture
async def shop(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Shop]:
    async with a_shop(fresh_url, clock) as shop:
        yield shop
        # Whatever a story was about, everything that must always hold does at its end.
        report = await shop.service.services[Doctor].examine()
        assert [one for one in report.findings if one.state is not CheckState.OK] == []
