"""Stopping an organization or a person, and letting them go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.admin.errors import SuspendsOneself
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import InputModel, prefixed_id
from app.organizations.service import OrganizationService
from app.users.service import UserService

router = APIRouter(prefix="/admin", tags=["admin"], route_class=IdempotentRoute)

Organizations = Annotated[OrganizationService, provide(OrganizationService)]
Users = Annotated[UserService, provide(UserService)]
WhichOrganization = prefixed_id("org")
WhichUser = prefixed_id("usr")


class WhyIn(InputModel):
    """Why; it is kept in the audit log."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@router.post("/organizations/{organization_id}/suspend", status_code=204)
async def suspend_organization(
    operator: CurrentOperator,
    organization_id: WhichOrganization,  # type: ignore[valid-type]
    body: WhyIn,
    organizations: Organizations,
) -> None:
    """Leave its people only looking and paying, and its API keys nothing. Repeating it is fine."""
    await organizations.suspend(organization_id, body.reason)


@router.post("/organizations/{organization_id}/restore", status_code=204)
async def restore_organization(
    operator: CurrentOperator,
    organization_id: WhichOrganization,  # type: ignore[valid-type]
    body: WhyIn,
    organizations: Organizations,
) -> None:
    """Give back what a suspension took. Repeating it is fine."""
    await organizations.restore(organization_id, body.reason)


@router.post("/users/{user_id}/suspend", status_code=204)
async def suspend_user(
    operator: CurrentOperator,
    user_id: WhichUser,  # type: ignore[valid-type]
    body: WhyIn,
    users: Users,
) -> None:
    """Refuse someone everything, at once and everywhere. Nobody suspends themselves."""
    if operator.user_id == user_id:
        raise SuspendsOneself
    await users.suspend(user_id, body.reason)


@router.post("/users/{user_id}/restore", status_code=204)
async def restore_user(
    operator: CurrentOperator,
    user_id: WhichUser,  # type: ignore[valid-type]
    body: WhyIn,
    users: Users,
) -> None:
    """Let someone in again. Repeating it is fine."""
    await users.restore(user_id, body.reason)
