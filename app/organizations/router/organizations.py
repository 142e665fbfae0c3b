"""Organizations themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPerson, CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.kernel.ids import OrganizationId
from app.kernel.principal import Permission, Principal
from app.organizations.domain import Role
from app.organizations.router.callers import Caller, Organizations, within
from app.organizations.schemas import (
    OrganizationIn,
    OrganizationOut,
    OrganizationPatch,
    OrganizationSummaryOut,
)
from app.organizations.service import OverviewService

router = APIRouter(prefix="/organizations", tags=["organizations"], route_class=IdempotentRoute)

Overviews = Annotated[OverviewService, provide(OverviewService)]


@router.post("", status_code=201)
@router.post("/", status_code=201, include_in_schema=False)
async def create_organization(
    body: OrganizationIn,
    principal: CurrentPerson,
    organizations: Organizations,
    overviews: Overviews,
) -> OrganizationOut:
    """Open another organization; you are its owner. Switch to it with `POST /auth/switch`."""
    created = await organizations.create(body.name, principal.user_id)
    return OrganizationOut.of(await overviews.overview(created.id), Role.OWNER)


@router.get("")
@router.get("/", include_in_schema=False)
async def list_organizations(
    principal: CurrentPrincipal, organizations: Organizations, paging: Paging
) -> PageOut[OrganizationSummaryOut]:
    """The organizations you belong to, the newest first; a key sees its own."""
    page = await organizations.page_for_user(principal.user_id, paging, only=_only(principal))
    return PageOut.of(page, OrganizationSummaryOut.of)


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


def _only(principal: Principal) -> OrganizationId | None:
    # A key is for one organization and learns nothing of its maker's others.
    return principal.organization if principal.api_key_id is not None else None
