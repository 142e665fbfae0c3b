"""All rivals in one application, and a bare ASGI answer in front of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from starlette.types import Receive, Scope, Send

from app import tables  # noqa: F401 - the service's models, which the ORM's read needs whole
from app.infra.db.engine import asyncpg_arguments
from benchmarks.rivals import naive, orm_read, per_request, stripe_intake

_POOL = 16
_HELLO = b'{"hello":"world"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_HELLO))]


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    url = make_url(os.environ["DATABASE_URL"])
    engine = create_async_engine(url, pool_size=_POOL, max_overflow=0)
    application.state.sessions = async_sessionmaker(engine)
    async with asyncpg.create_pool(
        **asyncpg_arguments(url), min_size=_POOL, max_size=_POOL
    ) as application.state.pool:
        yield
    await engine.dispose()


application = FastAPI(lifespan=lifespan, openapi_url=None)
for router in (naive.router, per_request.router, orm_read.router, stripe_intake.router):
    application.include_router(router)


@application.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" and scope["path"] == "/bare":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _HELLO})
    else:
        await application(scope, receive, send)
