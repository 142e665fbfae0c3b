"""A running sandbox, the real Stripe client, and a place where its webhooks arrive."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe
import uvicorn
from starlette.applications import Starlette

from app.kernel.clock import ManualClock
from app.sandbox.app import create_sandbox
from app.sandbox.config import SandboxConfig

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CATALOG = {
    "products": [
        {"id": "prod_starter", "name": "Starter"},
        {"id": "prod_pro", "name": "Professional"},
        {"id": "prod_tokens", "name": "Tokens"},
    ],
    "prices": [
        {"id": "price_starter", "product": "prod_starter", "unit_amount": 9900,
         "currency": "usd", "recurring": {"interval": "month"}},
        {"id": "price_pro", "product": "prod_pro", "unit_amount": 29900,
         "currency": "usd", "recurring": {"interval": "month"}},
        {"id": "price_pro_year", "product": "prod_pro", "unit_amount": 299000,
         "currency": "usd", "recurring": {"interval": "year"}},
        {"id": "price_tokens", "product": "prod_tokens", "unit_amount_decimal": "0.02",
         "currency": "usd",
         "recurring": {"interval": "month", "usage_type": "metered", "meter": "mtr_tokens"}},
    ],
}  # fmt: skip


@dataclass
class Mailbox:
    """Where events arrive; answers with what it is told to, 200 if nothing."""

    received: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.received.append((url, body, headers))
        return self.answers.pop(0) if self.answers else 200


@dataclass
class Account:
    """A sandbox in this process, with everything a test may reach for."""

    app: Starlette
    base_url: str
    stripe: stripe.StripeClient
    http: httpx.AsyncClient
    clock: ManualClock
    mailbox: Mailbox

    async def control(self, path: str, /, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def advance(self, **by: float) -> None:
        """Let time pass for the account, and so do what falls due."""
        seconds = round(
            by.get("days", 0) * 86_400 + by.get("hours", 0) * 3_600 + by.get("seconds", 0)
        )
        await self.control("clock/advance", seconds=seconds)

    async def customer(self, card: str | None = "pm_card_visa", **fields: Any) -> Any:
        """A customer with a card that charges go to."""
        params: Any = {"email": "a@example.com", **fields}
        made = await self.stripe.v1.customers.create_async(params)
        if card:
            method = await self.stripe.v1.payment_methods.attach_async(card, {"customer": made.id})
            await self.stripe.v1.customers.update_async(
                made.id, {"invoice_settings": {"default_payment_method": method.id}}
            )
        return made

    async def subscription(self, price: str = "price_starter", **fields: Any) -> Any:
        customer = fields.pop("customer", None) or (await self.customer()).id
        params: Any = {"customer": customer, "items": [{"price": price}], **fields}
        return await self.stripe.v1.subscriptions.create_async(params)

    async def checkout(self, price: str = "price_starter", **fields: Any) -> Any:
        params: Any = {
            "mode": "subscription",
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://shop.test/done?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/plans",
            **fields,
        }
        return await self.stripe.v1.checkout.sessions.create_async(params)

    async def event_types(self) -> list[str]:
        """The types of all events so far, oldest first."""
        page = await self.stripe.v1.events.list_async({"limit": 100})
        return [str(event.type) async for event in page.auto_paging_iter()][::-1]

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type as plain documents, oldest first."""
        page = await self.stripe.v1.events.list_async({"limit": 100, "type": kind})
        return [event.to_dict(for_json=True) for event in page.data][::-1]


@asynccontextmanager
async def running(
    database: str = ":memory:", clock: ManualClock | None = None, **config: Any
) -> AsyncIterator[Account]:
    """A sandbox served on a free port; its events are delivered when a test asks."""
    clock = clock or ManualClock(START)
    # Named as TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    mailbox = Mailbox()
    app = create_sandbox(
        SandboxConfig(base_url=base_url, database=database, **config), clock, mailbox
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    wire = stripe.HTTPXClient(timeout=10, verify_ssl_certs=False)
    client = stripe.StripeClient(
        "sk_test_sandbox",
        base_addresses={"api": base_url},
        max_network_retries=0,
        http_client=wire,
    )
    try:
        async with httpx.AsyncClient(base_url=base_url, verify=False) as http:
            yield Account(app, base_url, client, http, clock, mailbox)
    finally:
        await wire.close_async()
        server.should_exit = True
        await serving
        app.state.sandbox.store.close()


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An empty account with the catalog seeded."""
    async with running() as account:
        await account.control("seed", **CATALOG)
        yield account
