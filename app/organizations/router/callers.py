"""Who calls, as a member of the organization in the path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from app.infra.http.principal import CurrentPrincipal
from app.infra.http.provide import provide
from app.infra.http.schemas import prefixed_id
from app.kernel.ids import OrganizationId
from app.kernel.principal import Permission, Principal, require
from app.organizations.domain import Role
from app.organizations.errors import OrganizationNotFound
from app.organizations.service import OrganizationService

Organizations = Annotated[OrganizationService, provide(OrganizationService)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, what they are in the organization of the path, and what they may do there."""

    principal: Principal
    organization_id: OrganizationId
    role: Role | None
    permissions: frozenset[Permission]
    withheld: frozenset[Permission]

    def is_person(self, user_id: UUID) -> bool:
        """Whether the caller is this person themselves, and not one of their keys."""
        return self.principal.api_key_id is None and self.principal.user_id == user_id

    def require(self, permission: Permission) -> None:
        require(permission, self.permissions, self.withheld)


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
        return Caller(principal, organization_id, role, principal.permissions, principal.withheld)
    # A person may look after any of their organizations without switching; a key opens only its own.
    if principal.token_type == "api_key":  # noqa: S105
        raise OrganizationNotFound
    access = await organizations.get_access(organization_id, principal.user_id)
    return Caller(principal, organization_id, access.role, access.permissions, access.withheld)


def within(permission: Permission | None = None) -> Any:
    """A dependency: the caller as a member of the path's organization; strangers get a 404."""
    return Depends(_within(permission))
