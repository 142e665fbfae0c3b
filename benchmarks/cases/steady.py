"""What comes before a measurement, so that it sees the steady state."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import client
from benchmarks.stage import Stage
from benchmarks.tenants import Tenant


async def introduce(here: Stage, tenants: Sequence[Tenant]) -> None:
    """Every caller asks once: from then on they are known."""
    path = "/api/v1/billing/quota"
    requests = [client.request("GET", path, headers=tenant.headers) for tenant in tenants]
    await client.send(here.service.port, requests, connections=8)
