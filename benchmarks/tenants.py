"""Organizations to measure with, made as everyone makes them, and plans granted without Stripe."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

import httpx

from app.infra.http.provide import Services
from app.kernel.entitlements import LimitPolicy, MetricLimit
from app.kernel.ids import OrganizationId, decode_id
from app.organizations.service import OrganizationService

_AT_ONCE = 8


@dataclass(frozen=True)
class Tenant:
    """An organization, and an access token of its owner."""

    id: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}


class Tenants:
    """Makes organizations that all belong to one person."""

    def __init__(self, port: int, services: Services) -> None:
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._organizations = services[OrganizationService]
        self.email = f"bench-{secrets.token_hex(4)}@example.com"
        self.password = secrets.token_urlsafe(16)
        self._owner = ""
        self._made: list[Tenant] = []

    async def sign_up(self) -> None:
        answer = await self._post(
            "/auth/register", email=self.email, password=self.password, name="Bench"
        )
        self._owner = answer["access_token"]

    async def close(self) -> None:
        await self._http.aclose()

    async def take(self, limits: Mapping[str, int] | None = None) -> Tenant:
        """A fresh organization that may use everything, but of *limits* no more than so much."""
        tenant = await self._found()
        organization_id = OrganizationId(tenant.id)
        granted = await self._organizations.entitlements(organization_id)
        hard = {
            metric: MetricLimit(Decimal(limit), LimitPolicy.HARD)
            for metric, limit in (limits or {}).items()
        }
        await self._organizations.apply_entitlements(
            organization_id,
            replace(
                granted,
                plan="enterprise",
                limits=hard,
                features=frozenset({"api_access"}),
                seat_limit=None,
            ),
        )
        return tenant

    async def many(self, count: int) -> list[Tenant]:
        """That many organizations on the free plan, the same ones for everybody who asks."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one() -> Tenant:
            async with gate:
                return await self._found()

        missing = count - len(self._made)
        self._made += await asyncio.gather(*(one() for _ in range(missing)))
        return self._made[:count]

    async def api_key(self, tenant: Tenant) -> str:
        made = await self._post("/auth/api-keys", tenant.token, name="Bench")
        return str(made["key"])

    async def _found(self) -> Tenant:
        made = await self._post("/organizations", self._owner, name="Bench")
        tokens = await self._post("/auth/switch", self._owner, organization_id=made["id"])
        return Tenant(decode_id("org", made["id"]), tokens["access_token"])

    async def _post(self, path: str, token: str = "", **body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = await self._http.post(f"/api/v1{path}", json=body, headers=headers)
        if answer.is_error:
            raise SystemExit(f"{path}: {answer.status_code} {answer.text}")
        found: dict[str, str] = answer.json()
        return found
