"""`/organizations`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, prefixed_id
from app.kernel.ids import OrganizationId
from app.kernel.pages import Page
from app.kernel.principal import MissingPermission, Permission, Principal
from app.organizations.domain import Role
from app.organizations.errors import OrganizationNotFound
from app.organizations.schemas import (
    OrganizationIn,
    OrganizationOut,
    OrganizationPatch,
    OrganizationSummaryOut,
)
from app.organizations.service import OrganizationService, OverviewService

router = APIRouter(prefix="/organizations", tags=["organizations"], route_class=IdempotentRoute)

Organizations = Annotated[OrganizationService, provide(OrganizationService)]
Overviews = Annotated[OverviewService, provide(OverviewService)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, what they are in the organization of the path, and what they may do there."""

    principal: Principal
    organization_id: OrganizationId
    role: Role | None
    permissions: frozenset[Permission]

    def require(self, permission: Permission) -> None:
        if permission not in self.permissions:
            raise MissingPermission(permission=permission.value)


def _within(permission: Permission | None) -> Callable[..., Awaitable[Caller]]:
    async def check(
        organization_id: prefixed_id("org"),  # type: ignore[valid-type]
        principal: CurrentPrincipal,
        organizations: Organizations,
    ) -> Caller:
        caller = await _caller(OrganizationId(organization_id), principal, organizations)
        if permission is not None:
            caller.require(permission)
        return caller

    return check


async def _caller(
    organization_id: OrganizationId, principal: Principal, organizations: OrganizationService
) -> Caller:
    if principal.organization_id == organization_id:
        role = Role(principal.role) if principal.role is not None else None
        return Caller(principal, organization_id, role, principal.permissions)
    # A person may look after any of their organizations without switching; a key opens only its own.
    if principal.token_type == "api_key":  # noqa: S105
        raise OrganizationNotFound
    access = await organizations.get_access(organization_id, principal.user_id)
    return Caller(principal, organization_id, access.role, access.permissions)


def within(permission: Permission | None = None) -> Any:
    """A dependency: the caller as a member of the path's organization; strangers get a 404."""
    return Depends(_within(permission))


@router.post("", status_code=201)
@router.post("/", status_code=201, include_in_schema=False)
async def create_organization(
    body: OrganizationIn,
    principal: CurrentPrincipal,
    organizations: Organizations,
    overviews: Overviews,
) -> OrganizationOut:
    """Open another organization; you are its owner. Switch to it with `POST /auth/switch`."""
    created = await organizations.create(body.name, principal.user_id)
    return OrganizationOut.of(await overviews.overview(created.id), Role.OWNER)


@router.get("")
@router.get("/", include_in_schema=False)
async def list_organizations(
    principal: CurrentPrincipal, organizations: Organizations
) -> PageOut[OrganizationSummaryOut]:
    """The organizations you belong to, the one you joined first in front."""
    found = await organizations.list_for_user(principal.user_id)
    return PageOut.of(Page(found), OrganizationSummaryOut.of)


@router.get("/{organization_id}")
async def get_organization(
    caller: Annotated[Caller, within(Permission.ORGANIZATION_READ)], overviews: Overviews
) -> OrganizationOut:
    """An organization with its tier, limits, use and seats."""
    return OrganizationOut.of(await overviews.overview(caller.organization_id), caller.role)


@router.patch("/{organization_id}")
async def rename_organization(
    body: OrganizationPatch,
    caller: Annotated[Caller, within(Permission.ORGANIZATION_WRITE)],
    organizations: Organizations,
    overviews: Overviews,
) -> OrganizationOut:
    """Give an organization another name; its slug stays."""
    await organizations.rename(caller.organization_id, body.name)
    return OrganizationOut.of(await overviews.overview(caller.organization_id), caller.role)
