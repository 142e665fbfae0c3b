"""The front door for HTTP: `uvicorn --factory app.main:create_app`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from secure import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    ReferrerPolicy,
    Secure,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import routes
from app.infra.http.docs import install_docs
from app.infra.http.edge import Edge
from app.infra.http.lane import Lane
from app.infra.http.openapi import install_openapi
from app.infra.http.problems import install_problem_handlers
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.jobs import build_worker
from app.wiring import build_services

VERSION = "0.1.0"

DESCRIPTION = """\
Billing for LLM products: organizations, plans, metering in tokens and calls, quotas that hold,
invoices and Stripe.

Owed money is integer minor units beside a currency; costs are decimal strings. Instants are
RFC 3339 in UTC. Errors are `application/problem+json` with a stable `code`.
"""


class Application(FastAPI):
    """The framework's application, and before all of it what takes the hot operations."""

    front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.front is None:
            await super().__call__(scope, receive, send)
        else:
            await self.front(scope, receive, send)


def create_app(
    settings: Settings | None = None,
    services: Services | None = None,
    *,
    with_lane: bool = True,
) -> FastAPI:
    """The ASGI application. Without arguments it reads the environment (for uvicorn).

    Without the lane every request takes the ordinary way, which answers the same.
    """
    if services is None:
        settings = settings or Settings()
        configure_logging(settings.log_level, json=settings.env == "production")
        services = build_services(settings)
    settings = services[Settings]

    app = Application(
        title="Aragora Billing",
        version=VERSION,
        description=DESCRIPTION,
        openapi_tags=list(routes.TAGS),
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.services = services
    install_problem_handlers(app)
    install_openapi(app)
    for router in routes.FEATURE_ROUTERS:
        app.include_router(router, prefix=routes.API_PREFIX)
    for router in routes.PLATFORM_ROUTERS:
        app.include_router(router)
    install_docs(app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Idempotent-Replayed", "Retry-After"],
        )
    headers = _security_headers(settings)
    app.add_middleware(Edge, headers=headers, aliases=routes.ALIASES)
    if with_lane:
        app.front = Lane(
            partial(FastAPI.__call__, app),
            services,
            routes.HOT_OPERATIONS,
            prefix=routes.API_PREFIX,
            headers=headers,
            aliases=routes.ALIASES,
            is_shared=bool(settings.cors_origins),
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    lifecycle = services[Lifecycle]
    worker = build_worker(services) if services[Settings].inline_worker else None
    await lifecycle.start()
    # The framework resolves a route when a request first looks at it. Left to requests, the first
    # ones after a start would hold up all others for most of a second.
    for _ in iter_route_contexts(app.routes):
        pass
    # What was loaded stays for the life of the process. Left to the collector, each full pass
    # walks it all and stops every request for some 200 ms.
    gc.collect()
    gc.freeze()
    # Made for small programs, the usual thresholds start several passes within one large batch.
    gc.set_threshold(20_000, 20, 50)
    working = asyncio.create_task(worker.run()) if worker else None
    try:
        yield
    finally:
        if worker is not None and working is not None:
            worker.stop()
            await working
        await lifecycle.stop()


def _operation_id(route: APIRoute) -> str:
    return route.name


def _security_headers(settings: Settings) -> dict[str, str]:
    policy = Secure(
        csp=ContentSecurityPolicy()
        .default_src("'none'")
        .frame_ancestors("'none'")
        .base_uri("'none'"),
        xfo=XFrameOptions().deny(),
        xcto=XContentTypeOptions().nosniff(),
        referrer=ReferrerPolicy().no_referrer(),
        coop=CrossOriginOpenerPolicy().same_origin(),
        hsts=(
            StrictTransportSecurity().max_age(31_536_000).include_subdomains()
            if settings.env == "production"
            else None
        ),
    )
    return {**dict(policy.headers), "Cache-Control": "no-store"}
