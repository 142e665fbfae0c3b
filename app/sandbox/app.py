"""Puts a sandbox together: storage, clock, API, pages, controls, deliveries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from app.kernel.clock import Clock, SystemClock
from app.sandbox.api import Api
from app.sandbox.config import SandboxConfig
from app.sandbox.control import Control
from app.sandbox.core.deliveries import Deliverer, Sender
from app.sandbox.core.faults import Faults
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.core.timeline import Timeline
from app.sandbox.mishaps import Mishaps
from app.sandbox.nouns.catalog import APPOINTMENTS, FOLLOWERS
from app.sandbox.pages.challenge import ChallengePage
from app.sandbox.pages.checkout import CheckoutPage
from app.sandbox.pages.console import Console
from app.sandbox.pages.invoice import InvoicePage
from app.sandbox.pages.portal import PortalPage
from app.sandbox.posting import PostOffice

_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


def create_sandbox(
    config: SandboxConfig, clock: Clock | None = None, sender: Sender | None = None
) -> Starlette:
    """A whole Stripe account as an ASGI application.

    Served by a server it delivers events by itself. Called in process, without a lifespan,
    it delivers when `app.state.deliverer.deliver_due()` is awaited.
    """
    sandbox = Sandbox(config, clock or SystemClock())
    sandbox.followers = FOLLOWERS
    timeline = Timeline(sandbox, APPOINTMENTS)
    faults = Faults()
    deliverer = Deliverer(sandbox, sender or post)

    def settle() -> None:
        """What a call made due at once is done before anybody asks again."""
        timeline.catch_up()
        deliverer.wake()

    api = Api(sandbox, faults, timeline.catch_up, settle)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(deliverer.run(timeline.catch_up))
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            sandbox.store.close()

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/v1/{path:path}", api.answer, methods=_METHODS),
            Route("/v2/{path:path}", api.answer, methods=_METHODS),
            *Control(sandbox, timeline, faults, settle).routes,
            *PostOffice(sandbox, deliverer, settle).routes,
            *Mishaps(sandbox, faults, settle).routes,
            *CheckoutPage(sandbox, timeline.catch_up, settle).routes,
            *ChallengePage(sandbox, timeline.catch_up, settle).routes,
            *PortalPage(sandbox, timeline.catch_up, settle).routes,
            *InvoicePage(sandbox, timeline.catch_up, settle).routes,
            *Console(sandbox).routes,
        ],
    )
    app.state.sandbox = sandbox
    app.state.timeline = timeline
    app.state.deliverer = deliverer
    return app


async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Post an event as Stripe does: no redirects, ten seconds."""
    async with httpx.AsyncClient(timeout=10, follow_redirects=False, trust_env=False) as client:
        answer = await client.post(url, content=body, headers=headers)
    return answer.status_code
