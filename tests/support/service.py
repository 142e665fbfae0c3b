"""The whole service in this process: real wiring, real Postgres, a clock that obeys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import URL, text
from starlette.routing import BaseRoute

from app.gateways.mail.gateway import MailGateway
from app.gateways.mail.memory import MemoryMail
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.security.passwords import Passwords
from app.infra.settings import Settings
from app.jobs import build_worker
from app.kernel.clock import ManualClock
from app.main import create_app
from app.wiring import Register, build_services

TEST_SECRET = "a-secret-for-tests-only-0123456789abcdef"


@dataclass
class Service:
    """A started service. `client()` calls it, `drain()` runs its due jobs."""

    app: FastAPI
    services: Services
    clock: ManualClock

    @property
    def work(self) -> UnitOfWork:
        return self.services[UnitOfWork]

    @property
    def mail(self) -> MemoryMail:
        """What was sent; only where the service was not given another gateway."""
        return self.services[MemoryMail]

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://testserver",
            headers=headers,
        )

    async def drain(self) -> None:
        """Run every job that is due by the test's clock; raises the first failure."""
        async with self.work.begin_platform() as session:
            # Appointments wait by the server's clock, which no test can move.
            await session.execute(
                text(
                    "update pgqueuer set execute_after = now() where status = 'queued'"
                    " and (headers ->> 'due_at')::timestamptz <= :now"
                ),
                {"now": self.clock.now()},
            )
        await build_worker(self.services).drain()


def settings_for(url: URL, **changes: Any) -> Settings:
    """Settings of a test, blind to the environment and to .env files."""
    values: dict[str, Any] = {
        "env": "test",
        "database_url": url.render_as_string(hide_password=False),
        "jwt_secret": TEST_SECRET,
        "rate_limits": "off",
        "jobs": "separate",
        **changes,
    }
    return _BlindSettings(**values)


class _BlindSettings(Settings):
    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: Any, init_settings: Any, **_: Any
    ) -> Any:
        return (init_settings,)


_ROUTES: list[BaseRoute] = []


def an_app(services: Services, *, with_lane: bool = True) -> FastAPI:
    """An application that shares its routes with all others of this process.

    They find their services through the request. Resolving what each of them depends on takes a
    second, which is nothing to a process and much to a test that brings an application.
    """
    app = create_app(services=services, with_lane=with_lane)
    if not _ROUTES:
        _ROUTES.extend(app.router.routes)
    app.router.routes[:] = _ROUTES
    return app


@asynccontextmanager
async def running(
    url: URL, clock: ManualClock, *, replace: Register | None = None, **changes: Any
) -> AsyncIterator[Service]:
    """Build and start a service on *url*; stop it at the end.

    Mail stays in memory unless *replace* or a change of `data_dir` or `smtp_host` asks for more.
    """

    def with_fakes(services: Services) -> None:
        if replace is not None:
            replace(services)
        if Passwords not in services:
            # Argon2id all the same, but cheap: a test signs in hundreds of times.
            services.add(Passwords, Passwords(memory_kib=256))
        if MailGateway not in services and not {"data_dir", "smtp_host"} & changes.keys():
            mail = services.add(MemoryMail, MemoryMail())
            services.add(MailGateway, mail)  # type: ignore[type-abstract]

    services = build_services(settings_for(url, **changes), clock=clock, replace=with_fakes)
    app = an_app(services)
    lifecycle = services[Lifecycle]
    await lifecycle.start()
    try:
        yield Service(app, services, clock)
    finally:
        await lifecycle.stop()
