"""Requests while the mail server does not answer and a hundred mails wait: nobody must notice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.infra.http.wire import LaneProtocol
from app.kernel.ids import encode_id
from benchmarks import client, events
from benchmarks.bench import Bench
from benchmarks.client import request
from benchmarks.measured import Case, Failed, Measure, Sample
from benchmarks.servers import Server, serve
from benchmarks.stage import Stage
from benchmarks.stand_ins import StandIn, mail_server
from benchmarks.tenants import Tenant

_PROTOCOL = f"{LaneProtocol.__module__}:{LaneProtocol.__name__}"
_RECORDED = frozenset({201})
_MAILS = 100
_PATIENCE_SECONDS = 60
_CALLS = (
    "/api/v1/auth/me",
    "/api/v1/billing/subscription",
    "/api/v1/billing/quota",
    "/api/v1/billing/invoices",
    "/api/v1/billing/usage",
    "/api/v1/notifications",
)
"""What a page of an organization asks for."""
_UNSENT = """
select count(*) from notices where organization_id = $1 and kind = 'invite' and state <> 'sent'
"""


def singles(*, answers: bool) -> Measure:
    """64 connections record in a process that also runs the jobs, with their mails."""
    name = f"mail-{answers:d}"

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await here.tenants.take()
        ids = events.keys(name, run, bench.count(12_000))
        async with _busy(here, tenant, f"{name}-{run}", answers=answers) as service:
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


def calls(*, answers: bool) -> Measure:
    """What people ask for by the way, eight at once."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await here.tenants.take()
        asked = [request("GET", path, headers=tenant.headers) for path in _CALLS]
        requests = asked * bench.count(200, least=10)
        name = f"mail-calls-{answers:d}-{run}"
        async with _busy(here, tenant, name, answers=answers) as service:
            sample, _ = await bench.http(here, service, requests, connections=8)
        return sample

    return measure


@asynccontextmanager
async def _busy(here: Stage, tenant: Tenant, name: str, *, answers: bool) -> AsyncIterator[Server]:
    """A service with an inline worker that has just been asked for a hundred mails.

    Afterwards it is seen whether they went out where they could, and waited where they could not.
    """
    # Nobody ran the jobs of what was measured before; they are not what is measured here.
    await here.database.execute("truncate pgqueuer")
    async with mail_server(answers=answers) as mails, _service(here, mails) as service:
        asked = [
            request("GET", path, headers=tenant.headers)
            for path in _CALLS * 8  # every connection of the pool plans its statements
        ]
        warm = events.singles(events.keys(f"{name}-warm", 0, 500), [here.open_tenant])
        for requests in (asked, warm):
            await client.send(service.port, requests, connections=16)
        invited = await client.send(service.port, _invites(tenant, name), connections=8)
        if set(invited.statuses) != {201}:
            raise Failed(f"invitations were answered {dict(invited.statuses)}")
        yield service
        await _settled(here, tenant, mails, answers=answers)


def _invites(tenant: Tenant, name: str) -> list[bytes]:
    path = f"/api/v1/organizations/{encode_id('org', tenant.id)}/invites"
    bodies = (
        {"email": f"{name}-{number}@example.com", "role": "viewer"} for number in range(_MAILS)
    )
    return [request("POST", path, json.dumps(body).encode(), tenant.headers) for body in bodies]


async def _settled(here: Stage, tenant: Tenant, mails: StandIn, *, answers: bool) -> None:
    expected = 0 if answers else _MAILS
    deadline = time.monotonic() + _PATIENCE_SECONDS
    connection = await here.database.connect()
    try:
        while (mails.taken, unsent := await connection.fetchval(_UNSENT, tenant.id)) != (
            _MAILS - expected,
            expected,
        ):
            if time.monotonic() > deadline:
                raise Failed(f"{mails.taken} mails arrived, {unsent} wait")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()
        mails.over.set()


@asynccontextmanager
async def _service(here: Stage, mails: StandIn) -> AsyncIterator[Server]:
    service = await serve(
        "app.main:create_app",
        {
            **here.environment,
            "ARAGORA_JOBS": "inline-worker",
            "ARAGORA_SMTP_HOST": "127.0.0.1",
            "ARAGORA_SMTP_PORT": str(mails.port),
            # That mails cannot be sent is what is measured; once for each is enough of warnings.
            "ARAGORA_LOG_LEVEL": "error",
        },
        probe="/health/ready",
        protocol=_PROTOCOL,
    )
    try:
        yield service
    finally:
        # In a thread: what it still asks is answered by this loop.
        await asyncio.to_thread(service.stop)


CASES = (
    Case("mail-up", "single event, 64 connections, 100 mails go out", singles(answers=True)),
    Case("mail-down", "single event, 64 connections, 100 mails hang", singles(answers=False)),
    Case("mail-calls-up", "a page's reads, 8 connections, 100 mails go out", calls(answers=True)),
    Case("mail-calls-down", "a page's reads, 8 connections, 100 mails hang", calls(answers=False)),
)
