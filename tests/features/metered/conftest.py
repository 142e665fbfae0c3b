"""A shop whose customer pays by use, and the account that adds it up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import URL, text

from app.kernel.clock import ManualClock
from app.metered.invariants import INVARIANTS
from app.metered.service import UsageCollector, UsageReporter
from tests.factories.people import Owner
from tests.factories.subscriptions import call, subscribed
from tests.support.stripe_account import Shop, a_shop

EVENTS = "/api/v1/usage/events"


@dataclass
class Meterage:
    """A shop and its customer on the metered plan."""

    shop: Shop
    owner: Owner

    @property
    def collector(self) -> UsageCollector:
        return self.shop.service.services[UsageCollector]

    @property
    def reporter(self) -> UsageReporter:
        return self.shop.service.services[UsageReporter]

    async def use(self, *names: str, **fields: Any) -> None:
        await call(self.owner, "GET", "subscription")  # signs in again where months have passed
        event = {"type": "debate", "tokens_in": 1000, "tokens_out": 10, **fields}
        event |= {"provider": "openai", "model": "gpt-4o"}
        body = {"events": [{"id": name, **event} for name in names]}
        answer = await self.owner.client.post(f"{EVENTS}/batch", json=body)
        assert answer.json()["errors"] == 0, answer.text

    async def report(self) -> int:
        await self.collector.collect()
        return await self.reporter.send()

    async def summary(self) -> dict[str, dict[str, Any]]:
        answer = await call(self.owner, "GET", "metered")
        assert answer.status_code == 200, answer.text
        return {one["metric"]: one for one in answer.json()["data"]}

    def at_stripe(self, metric: str = "tokens_input") -> Decimal:
        """What Stripe has counted, whatever it says in summaries."""
        rows = self.told(metric)
        return sum((Decimal(row["value"]) for row in rows if row["state"] == "counted"), Decimal(0))

    def told(self, metric: str = "tokens_input") -> list[dict[str, Any]]:
        store = self.shop.account.app.state.sandbox.store
        return [
            dict(row)
            for row in store.rows(
                "select * from meter_events where event_name = ? order by id", (metric,)
            )
        ]

    async def batches(self, *states: str) -> list[dict[str, Any]]:
        rows = await self.shop.rows("select * from metered_batches order by id")
        return [row for row in rows if not states or row["state"] in states]


async def a_meterage(shop: Shop) -> Meterage:
    owner = await subscribed(shop, "enterprise_plus")
    found = Meterage(shop, owner)
    await found.report()
    return found


@pytest.fixture
async def meterage(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Meterage]:
    async with a_shop(fresh_url, clock) as shop:
        found = await a_meterage(shop)
        yield found
        async with shop.service.work.begin_platform() as session:
            values = {"organization_id": None, "now": clock.now()}
            for name, (_, statement) in INVARIANTS.items():
                broken = (await session.execute(text(statement), values)).all()
                assert not broken, name
