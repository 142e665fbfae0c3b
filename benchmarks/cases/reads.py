"""Reads that every page and every client makes."""

from __future__ import annotations

import json

from benchmarks import client
from benchmarks.bench import Bench, with_facts
from benchmarks.cases.steady import introduce
from benchmarks.client import request
from benchmarks.measured import Case, Failed, Measure, Sample
from benchmarks.stage import Stage
from benchmarks.tenants import Tenant

SUBSCRIPTION = "/api/v1/billing/subscription"
QUOTA = "/api/v1/billing/quota"

SUBSCRIBE = """
insert into subscriptions (
    organization_id, id, stripe_subscription_id, stripe_customer_id, status, plan, catalog_version,
    price_id, interval, amount, currency, created_at, period_start, period_end, window_start,
    window_end, cancel_at_period_end, is_duplicate, awaits_first_payment, applied_ticket, synced_at
)
select
    id, gen_random_uuid(), 'sub_' || id, 'cus_' || id, 'active', 'enterprise',
    coalesce(catalog_version, (select id from catalog_versions limit 1)),
    'price_enterprise', 'month', 99900, 'usd', at, at, at + interval '30 days', at,
    at + interval '30 days', false, false, false, 1, at
from organizations, (select now() - interval '3 days') as t (at)
where id = '{}'
"""


async def _subscribed(here: Stage) -> Tenant:
    tenant = await here.tenants.take()
    await here.database.execute(SUBSCRIBE.format(tenant.id))
    return tenant


def read(path: str, count: int = 8_000) -> Measure:
    """Authenticated, 64 connections, one organization."""

    async def measure(bench: Bench, run: int) -> Sample:
        here = bench.fast
        tenant = await _subscribed(here)
        await introduce(here, [tenant])
        requests = [request("GET", path, headers=tenant.headers)] * bench.count(count)
        sample, _ = await bench.http(here, here.service, requests, connections=64)
        return sample

    return measure


async def by_orm(bench: Bench, run: int) -> Sample:
    """The rival: the subscription's content through the ORM, without authentication."""
    here = bench.fast
    tenant = await _subscribed(here)
    path = f"/orm/{tenant.id}/subscription"
    requests = [request("GET", path)] * bench.count(1_500)
    sample, _ = await bench.http(here, here.rivals, requests, connections=64)
    return sample


async def while_signing_in(bench: Bench, run: int) -> Sample:
    """Subscription reads while four clients verify passwords without a pause."""
    here = bench.fast
    tenant = await _subscribed(here)
    await introduce(here, [tenant])
    login = request(
        "POST",
        "/api/v1/auth/login",
        json.dumps({"email": here.tenants.email, "password": here.tenants.password}).encode(),
        {"Content-Type": "application/json"},
    )
    requests = [request("GET", SUBSCRIPTION, headers=tenant.headers)] * bench.count(8_000)
    async with client.meanwhile(here.service.port, [login], connections=4) as logins:
        sample, _ = await bench.http(here, here.service, requests, connections=64)
    if set(logins.statuses) != {200}:
        raise Failed(f"logins were answered {dict(logins.statuses)}")
    return with_facts(sample, pauses_between_logins_s=logins.elapsed / max(1, logins.count))


CASES = (
    Case("read-subscription", "read of the subscription", read(SUBSCRIPTION)),
    Case("read-quota", "read of the quota", read(QUOTA)),
    Case("read-orm", "rival: the subscription's content by ORM", by_orm),
    Case("read-logins", "read of the subscription while 4 clients log in", while_signing_in),
)
