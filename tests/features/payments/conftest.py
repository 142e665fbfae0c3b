"""A shop with a customer who has paid, and the charge by which they did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from app.gateways.stripe.payments import StripeDispute
from app.kernel.clock import ManualClock
from app.kernel.facts import Fact
from app.payments.domain import PaymentReport
from app.payments.service import PaymentMirror, PaymentReports
from tests.factories.operators import an_operator
from tests.factories.people import Owner
from tests.factories.subscriptions import subscribed
from tests.support.stripe_account import Shop, a_shop

REFUNDS = "/api/v1/admin/refunds"


@dataclass
class Till:
    """A shop, an operator, and one customer with one charge of 299 dollars."""

    shop: Shop
    owner: Owner
    operator: httpx.AsyncClient
    charge_id: str
    announced: list[Fact] = field(default_factory=list)

    @property
    def reports(self) -> PaymentReports:
        return self.shop.service.services[PaymentReports]

    @property
    def mirror(self) -> PaymentMirror:
        return self.shop.service.services[PaymentMirror]

    async def refund(self, *, key: str | None = None, **body: Any) -> httpx.Response:
        asked = {"charge_id": self.charge_id, "reason": "requested_by_customer", **body}
        headers = {"Idempotency-Key": key} if key else {}
        return await self.operator.post(
            REFUNDS, json={k: v for k, v in asked.items() if v is not None}, headers=headers
        )

    async def report(self, **changes: Any) -> PaymentReport:
        """What Stripe says now, with *changes*."""
        return replace(await self.reports.of_charge(self.charge_id), **changes)

    async def take(self, report: PaymentReport) -> bool:
        return await self.mirror.take(self.owner.organization_id, report)

    def at_stripe(self) -> list[dict[str, Any]]:
        return self.shop.account.find("refund", charge=self.charge_id)

    def charge(self) -> dict[str, Any]:
        [found] = self.shop.account.find("charge", id=self.charge_id)
        return found

    def told(self, *kinds: type[Fact]) -> list[Fact]:
        """The facts of these kinds that were announced, in order."""
        return [fact for fact in self.announced if isinstance(fact, kinds)]


def a_dispute(till: Till, status: str = "needs_response", **changes: Any) -> StripeDispute:
    values: dict[str, Any] = {
        "id": "dp_1",
        "charge_id": till.charge_id,
        "amount": 29900,
        "currency": "usd",
        "reason": "fraudulent",
        "status": status,
        "is_charge_refundable": status.startswith("warning_"),
        "respond_by": till.shop.clock.now(),
        "created_at": till.shop.clock.now(),
        **changes,
    }
    return StripeDispute(**values)


async def a_till(shop: Shop) -> Till:
    owner = await subscribed(shop)
    [charge] = shop.account.find("charge")
    till = Till(shop, owner, await an_operator(shop.service), charge["id"])
    work, announce = shop.service.work, shop.service.work.announce

    def noting(fact: Fact) -> None:
        till.announced.append(fact)
        announce(fact)

    work.announce = noting  # type: ignore[method-assign]
    return till


@pytest.fixture
async def till(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Till]:
    async with a_shop(fresh_url, clock) as shop:
        yield await a_till(shop)


@pytest.fixture
async def suspending_till(fresh_url: URL, clock: ManualClock) -> AsyncIterator[Till]:
    async with a_shop(fresh_url, clock, dispute_policy="suspend") as shop:
        yield await a_till(shop)
