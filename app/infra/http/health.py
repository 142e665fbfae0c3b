"""Whether the process lives, whether it can serve, what it is made of, and its metrics."""

from __future__ import annotations

import asyncio
import os
from typing import Literal

import prometheus_client
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import multiprocess
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from app.infra.http.problems import is_database_loss
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.kernel.errors import Unavailable

router = APIRouter(tags=["health"])

_CHECK_SECONDS = 2


class NotReady(Unavailable):
    """Not ready to serve: {reason}."""

    code = "not_ready"
    shown = ("reason",)


class LiveOut(BaseModel):
    status: Literal["ok"]


class HealthOut(BaseModel):
    status: Literal["ok"]
    version: str
    environment: str
    parts: dict[str, str]


@router.get("/health/live", operation_id="health_live")
async def live() -> LiveOut:
    """200 while the process runs."""
    return LiveOut(status="ok")


@router.get("/health/ready", operation_id="health_ready")
async def ready(request: Request) -> LiveOut:
    """200 when requests will be served; 503 while draining, migrating or without database."""
    services: Services = request.app.state.services
    lifecycle = services[Lifecycle]
    if not lifecycle.is_ready:
        raise NotReady(reason=lifecycle.state)
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            async with services[AsyncEngine].connect() as connection:
                await connection.execute(text("select 1"))
    except Exception as error:
        if isinstance(error, TimeoutError) or is_database_loss(error):
            raise NotReady(reason="database unavailable") from error
        raise
    return LiveOut(status="ok")


@router.get("/health", operation_id="health")
async def health(request: Request) -> HealthOut:
    """Versions, and which parts are real, embedded or sandbox."""
    services: Services = request.app.state.services
    lifecycle = services[Lifecycle]
    return HealthOut(
        status="ok",
        version=request.app.version,
        environment=lifecycle.environment,
        parts=lifecycle.parts,
    )


@router.get("/metrics", operation_id="metrics", response_class=PlainTextResponse)
async def metrics() -> Response:
    """Prometheus text; with several workers, the sum over all of them."""
    registry = prometheus_client.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = prometheus_client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(
        prometheus_client.generate_latest(registry),
        media_type=prometheus_client.CONTENT_TYPE_LATEST,
    )
