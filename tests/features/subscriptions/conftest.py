"""A service that sells through a Stripe in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, text

from app.gateways.stripe.fake import FakePrice, FakeStripe
from app.gateways.stripe.gateway import StripeGateway, StripeSubscription
from app.infra.http.provide import Services
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.subscriptions.service import Report, SubscriptionMirror, Taken
from app.webhooks.service.inbox import StripeInbox
from tests.conftest import START
from tests.factories.people import Owner, an_owner
from tests.factories.subscriptions import checkout
from tests.support import database
from tests.support.service import Service, running
from tests.support.stripe_account import PRICES
from tests.support.stripe_events import PATH, SECRET, an_event, encoded, signature

AMOUNTS = {
    "price_starter": FakePrice(9900),
    "price_professional": FakePrice(29900),
    "price_enterprise": FakePrice(99900),
    "price_enterprise_plus": FakePrice(500000),
    "price_professional_year": FakePrice(299000, "year"),
    "price_strange": FakePrice(100),
    **{
        f"price_{metric}": FakePrice(0, is_metered=True)
        for metric in ("tokens_input", "tokens_output", "debates")
    },
}


@dataclass
class Store:
    """Our service, and the account in memory that it sells through."""

    service: Service
    stripe: FakeStripe

    @property
    def clock(self) -> ManualClock:
        return self.service.clock

    @property
    def mirror(self) -> SubscriptionMirror:
        return self.service.services[SubscriptionMirror]

    @property
    def inbox(self) -> StripeInbox:
        return self.service.services[StripeInbox]

    async def subscribed(self, plan: str = "professional", **fields: Any) -> Owner:
        """An owner who has paid; nothing of it has been heard here yet."""
        owner = await an_owner(self.service)
        session = await checkout(owner, plan, **fields)
        self.stripe.pay(session["id"])
        return owner

    def bought_by(self, owner: Owner) -> StripeSubscription:
        [found] = [
            one
            for one in self.stripe.subscriptions.values()
            if one.metadata["organization_id"] == owner.id
        ]
        return found

    async def take(self, owner: Owner, subscription: StripeSubscription, **news: Any) -> Taken:
        ticket = await self.mirror.take_ticket()
        return await self.mirror.take(owner.organization_id, Report(subscription, ticket, **news))

    async def receive(self, kind: str, object_id: str | None, **changes: Any) -> str:
        """Post an event to the webhook; returns its id."""
        event = an_event(kind, {"id": object_id}, self.clock.now(), **changes)
        body = encoded(event)
        headers = {"Stripe-Signature": signature(body, self.clock.now())}
        async with self.service.client() as client:
            answer = await client.post(PATH, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(event["id"])

    async def tell(self, kind: str, object_id: str | None, **changes: Any) -> dict[str, Any]:
        """Post an event and handle it at once; returns what became of it."""
        event_id = await self.receive(kind, object_id, **changes)
        await self.inbox.handle(event_id)
        return await self.event(event_id)

    async def event(self, event_id: str) -> dict[str, Any]:
        [row] = await self.rows("select * from stripe_events where event_id = :id", id=event_id)
        return row

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        async with self.service.work.begin_platform() as session:
            found = await session.execute(text(statement), values)
            return [dict(row) for row in found.mappings()]


@pytest.fixture(scope="session")
async def store_url(postgres: URL, database_url: URL) -> AsyncIterator[URL]:
    name = f"{database.TEMPLATE}_{new_id().hex}"
    yield await database.clone(postgres, name)
    await database.drop(postgres, name)


@pytest.fixture(scope="session")
async def shared_store(store_url: URL) -> AsyncIterator[Store]:
    clock = ManualClock(START)
    stripe = FakeStripe(clock, AMOUNTS)

    def replace(services: Services) -> None:
        services.add(StripeGateway, stripe)  # type: ignore[type-abstract]

    settings: dict[str, Any] = {"stripe_webhook_secrets": (SecretStr(SECRET),), **PRICES}
    async with running(store_url, clock, replace=replace, **settings) as service:
        yield Store(service, stripe)


@pytest.fixture
async def store(shared_store: Store) -> AsyncIterator[Store]:
    shared_store.clock.set(START)
    shared_store.stripe.cards_decline = False
    yield shared_store
    async with shared_store.service.work.begin_platform() as session:
        await session.execute(text("delete from pgqueuer"))
