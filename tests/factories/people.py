"""People and their organizations, made over HTTP as everyone makes them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import httpx

from app.catalog.service import CatalogService
from app.kernel.ids import OrganizationId, UserId, decode_id, encode_id, new_id
from app.organizations.service import OrganizationService
from tests.support.service import Service

PASSWORD = "nine-lives-of-a-cat"


@dataclass
class Owner:
    """Someone who has just registered; `client` calls with their access token."""

    client: httpx.AsyncClient
    user_id: UserId
    organization_id: OrganizationId
    email: str
    password: str
    token: str
    refresh_token: str

    @property
    def id(self) -> str:
        """The organization's id as the API writes it."""
        return encode_id("org", self.organization_id)


def an_email(name: str = "someone") -> str:
    """An address that no other test uses."""
    return f"{name}.{new_id().hex}@example.com"


async def an_owner(
    service: Service,
    plan: str | None = None,
    *,
    email: str | None = None,
    name: str = "Ada Lovelace",
    organization_name: str = "Analytical Engines",
) -> Owner:
    """A fresh person with an organization of their own; *plan* is granted without Stripe."""
    email = email or an_email()
    async with service.client() as anonymous:
        answer = await anonymous.post(
            "/api/v1/auth/register",
            json={
                "email": email,
                "password": PASSWORD,
                "name": name,
                "organization_name": organization_name,
            },
        )
    assert answer.status_code == 201, answer.text
    body = answer.json()
    owner = Owner(
        client=service.client(body["access_token"]),
        user_id=UserId(decode_id("usr", body["user"]["id"])),
        organization_id=OrganizationId(decode_id("org", body["organization"]["id"])),
        email=email,
        password=PASSWORD,
        token=body["access_token"],
        refresh_token=body["refresh_token"],
    )
    if plan is not None:
        await grant_plan(service, owner.organization_id, plan)
    return owner


async def grant_plan(service: Service, organization_id: UUID, plan: str) -> None:
    """What *plan* of the catalog grants, applied as a subscription would."""
    granted = service.services[CatalogService].active.entitlements(plan, None)
    await service.services[OrganizationService].apply_entitlements(
        OrganizationId(organization_id), granted
    )
