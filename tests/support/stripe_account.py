"""A Stripe account for tests: the bundled sandbox on a free port, and our service that uses it.

The two share one clock. Events are delivered when a test says so, signed, to the service itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr
from sqlalchemy import URL, text
from starlette.applications import Starlette

from app.kernel.clock import ManualClock
from app.sandbox.app import create_sandbox
from app.sandbox.config import SandboxConfig
from tests.support.service import Service, running
from tests.support.stripe_events import PATH, SECRET

PRICES: dict[str, str] = {
    "stripe_price_starter": "price_starter",
    "stripe_price_professional": "price_professional",
    "stripe_price_enterprise": "price_enterprise",
    "stripe_price_enterprise_plus": "price_enterprise_plus",
    "stripe_price_professional_yearly": "price_professional_year",
    "stripe_metered_tokens_input": "price_tokens_input",
    "stripe_metered_tokens_output": "price_tokens_output",
    "stripe_metered_debates": "price_debates",
}
_MONTHLY = {"starter": 9900, "professional": 29900, "enterprise": 99900, "enterprise_plus": 500000}
_METERED = ("tokens_input", "tokens_output", "debates")


def _flat(price: str, amount: int, interval: str = "month") -> dict[str, Any]:
    return {
        "id": f"price_{price}",
        "product": f"prod_{price}",
        "unit_amount": amount,
        "currency": "usd",
        "recurring": {"interval": interval},
    }


SEED: dict[str, Any] = {
    "products": [
        {"id": f"prod_{name}", "name": name}
        for name in (*_MONTHLY, *_METERED, "professional_year", "strange")
    ],
    "prices": [
        *(_flat(plan, amount) for plan, amount in _MONTHLY.items()),
        _flat("professional_year", 299000, "year"),
        _flat("strange", 100),
        *(
            {
                "id": f"price_{metric}",
                "product": f"prod_{metric}",
                "unit_amount_decimal": "0.02",
                "currency": "usd",
                "recurring": {
                    "interval": "month",
                    "usage_type": "metered",
                    "meter": f"mtr_{metric}",
                },
            }
            for metric in _METERED
        ),
    ],
}


@dataclass
class Account:
    """The sandbox: its pages and controls by `http`, what it has sent by `outbox`."""

    app: Starlette
    base_url: str
    http: httpx.AsyncClient
    clock: ManualClock
    outbox: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    async def control(self, path: str, /, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def click(self, url: str, action: str = "pay", **fields: str) -> httpx.Response:
        """Press a button on a hosted page."""
        return await self.http.post(url.partition("#")[0], data={"action": action, **fields})

    async def collect(self) -> list[tuple[bytes, dict[str, str]]]:
        """Take what Stripe has sent since the last time, in the order in which it was sent."""
        while await self.app.state.deliverer.deliver_due():
            pass
        sent, self.outbox[:] = list(self.outbox), []
        return sent

    def find(self, kind: str, **where: Any) -> list[dict[str, Any]]:
        """Objects of the account as it keeps them."""
        sandbox = self.app.state.sandbox
        with sandbox.unit():
            return [dict(found) for found in sandbox.all(kind, **where)]


@dataclass
class Shop:
    """Our service and its Stripe account."""

    service: Service
    account: Account

    @property
    def clock(self) -> ManualClock:
        return self.service.clock

    async def deliver(self) -> int:
        """Post every event to our webhook as Stripe would, and handle them; says how many."""
        sent = await self.account.collect()
        async with self.service.client() as client:
            for body, headers in sent:
                answer = await client.post(PATH, content=body, headers=headers)
                assert answer.status_code == 200, answer.text
        await self.service.drain()
        return len(sent)

    async def advance(self, **by: float) -> None:
        """Let time pass for everybody, and everything that falls due meanwhile happen."""
        self.clock.advance(timedelta(**by))
        await self.account.control("clock/advance", seconds=0)
        await self.deliver()

    async def decline_from_now_on(self, code: str | None = "generic_decline") -> None:
        """Let every saved card be declined, or with None be good again."""
        for method in self.account.find("payment_method"):
            answer = await self.account.http.post(
                f"/_sandbox/payment_methods/{method['id']}", json={"decline_code": code or ""}
            )
            assert answer.status_code == 200, answer.text

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        async with self.service.work.begin_platform() as session:
            found = await session.execute(text(statement), values)
            return [dict(row) for row in found.mappings()]


@asynccontextmanager
async def an_account(clock: ManualClock, **config: Any) -> AsyncIterator[Account]:
    # Named as TCP, or asyncio leaves Nagle on and every answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    outbox: list[tuple[bytes, dict[str, str]]] = []

    async def send(url: str, body: bytes, headers: dict[str, str]) -> int:
        outbox.append((body, headers))
        return 200

    app = create_sandbox(SandboxConfig(base_url=base_url, **config), clock, send)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        async with httpx.AsyncClient(base_url=base_url, verify=False) as http:
            account = Account(app, base_url, http, clock, outbox)
            await account.control("seed", **SEED)
            await account.control(
                "webhook_endpoints", url="https://billing.test/webhooks/stripe", secret=SECRET
            )
            yield account
    finally:
        server.should_exit = True
        await serving
        app.state.sandbox.store.close()


@asynccontextmanager
async def a_shop(url: URL, clock: ManualClock, **changes: Any) -> AsyncIterator[Shop]:
    """Our service on *url*, selling the catalog's plans through an account of its own."""
    async with an_account(clock) as account:
        settings: dict[str, Any] = {
            "stripe_secret_key": SecretStr("sk_test_sandbox"),
            "stripe_api_base": account.base_url,
            "stripe_webhook_secrets": (SecretStr(SECRET),),
            **PRICES,
            **changes,
        }
        async with running(url, clock, **settings) as service:
            yield Shop(service, account)
