"""A shop with a customer whose renewal has just failed, and an ear for what is announced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from app.kernel.clock import ManualClock
from app.kernel.facts import Fact
from app.recovery.events import GraceEnded, GraceEnding
from app.recovery.service import RecoveryService
from app.subscriptions.events import PaymentFailed, PaymentRecovered
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.factories.subscriptions import subscribed, subscription
from tests.support.stripe_account import Shop, a_shop

HEARD = (PaymentFailed, PaymentRecovered, GraceEnding, GraceEnded)


@dataclass
class Trouble:
    """One customer, one operator, and the facts of recovery in the order of their coming."""

    shop: Shop
    owner: Owner
    operator: httpx.AsyncClient
    facts: list[Fact] = field(default_factory=list)

    @property
    def recovery(self) -> RecoveryService:
        return self.shop.service.services[RecoveryService]

    @property
    def heard(self) -> list[str]:
        return [type(fact).__name__ for fact in self.facts]

    async def fail(self) -> datetime:
        """Let the renewal come and fail; answers when it did."""
        await self.shop.decline_from_now_on("insufficient_funds")
        await self.shop.advance(days=30, hours=2)
        [row] = await self.shop.rows(
            "select first_failed_at from invoice_collections where settled_at is null"
        )
        return row["first_failed_at"]

    async def at(self, instant: datetime) -> dict[str, Any]:
        """What the customer sees at *instant*, once everything due has been done."""
        self.shop.clock.set(instant)
        await self.shop.account.control("clock/advance", seconds=0)
        await self.shop.deliver()
        return await subscription(self.owner)

    async def timeline(self) -> dict[str, Any]:
        """What the operator reads."""
        path = f"/api/v1/admin/organizations/{self.owner.id}/recovery"
        answer = await self.operator.get(path)
        if answer.status_code == 401:
            self.operator = await an_operator(self.shop.service)
            answer = await self.operator.get(path)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
async def trouble(
    fresh_url: URL, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Trouble]:
    async with a_shop(fresh_url, clock) as shop:
        owner = await subscribed(shop)
        found = Trouble(shop, owner, await an_operator(shop.service))
        announce = shop.service.work.announce

        def listen(fact: Fact) -> None:
            if isinstance(fact, HEARD):
                found.facts.append(fact)
            announce(fact)

        monkeypatch.setattr(shop.service.work, "announce", listen)
        yield found
