"""Events while Stripe does not answer: recording must not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.infra.http.wire import LaneProtocol
from benchmarks import client, events
from benchmarks.bench import Bench
from benchmarks.measured import Case, Measure, Sample
from benchmarks.servers import Server, serve
from benchmarks.stage import Stage
from benchmarks.stand_ins import StandIn, stripe
from benchmarks.tenants import Tenant

_PROTOCOL = f"{LaneProtocol.__module__}:{LaneProtocol.__name__}"
_RECORDED = frozenset({201})
_ASKERS = 8
_PAUSE_SECONDS = 0.25


def with_stripe(*, answers: bool) -> Measure:
    """64 connections record while eight others ask for what only Stripe knows."""
    name = f"stripe-{answers:d}"

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await here.tenants.take()
        ids = events.keys(name, run, bench.count(12_000))
        async with stripe(answers=answers) as there, _service(here, there) as service:
            warm = events.singles(events.keys(f"{name}-warm", run, 500), [here.open_tenant])
            await client.send(service.port, warm, connections=16)
            async with _askers(service, tenant):
                sample, _ = await bench.http(
                    here,
                    service,
                    events.singles(ids, [tenant]),
                    connections=64,
                    expected=_RECORDED,
                )
        await bench.check(here, {tenant.id: ids})
        return sample

    return measure


@asynccontextmanager
async def _service(here: Stage, there: StandIn) -> AsyncIterator[Server]:
    service = await serve(
        "app.main:create_app",
        {
            **here.environment,
            "STRIPE_SECRET_KEY": "sk_test_benchmark",
            "STRIPE_API_BASE": f"http://127.0.0.1:{there.port}",
            # That Stripe cannot be reached is what is measured, and no news.
            "ARAGORA_LOG_LEVEL": "error",
        },
        probe="/health/ready",
        protocol=_PROTOCOL,
    )
    try:
        yield service
    finally:
        there.over.set()
        # In a thread: what it still asks is answered by this loop.
        await asyncio.to_thread(service.stop)


@asynccontextmanager
async def _askers(service: Server, tenant: Tenant) -> AsyncIterator[None]:
    """Customers who want to the portal, again and again."""
    url = f"http://127.0.0.1:{service.port}/api/v1/billing/portal"

    async def ask(http: httpx.AsyncClient) -> None:
        while True:
            await http.post(url, json={"return_url": "https://app.test/"}, headers=tenant.headers)
            await asyncio.sleep(_PAUSE_SECONDS)

    async with httpx.AsyncClient(timeout=120) as http:
        tasks = [asyncio.create_task(ask(http)) for _ in range(_ASKERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


CASES = (
    Case("stripe-up", "single event, 64 connections, Stripe answers", with_stripe(answers=True)),
    Case("stripe-down", "single event, 64 connections, Stripe hangs", with_stripe(answers=False)),
)
