"""Who is calling, for which organization, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

from app.kernel.errors import NotAllowed
from app.kernel.ids import OrganizationId, UserId


class Permission(StrEnum):
    """What a role or an API key scope may grant inside one organization."""

    ORGANIZATION_READ = "organization.read"
    ORGANIZATION_WRITE = "organization.write"
    ORGANIZATION_TRANSFER = "organization.transfer"
    MEMBERS_READ = "members.read"
    MEMBERS_WRITE = "members.write"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_WRITE = "api_keys.write"
    BILLING_READ = "billing.read"
    BILLING_WRITE = "billing.write"
    USAGE_READ = "usage.read"
    USAGE_WRITE = "usage.write"
    BUDGETS_READ = "budgets.read"
    BUDGETS_WRITE = "budgets.write"
    BUDGETS_EXCEED = "budgets.exceed"
    AUDIT_READ = "audit.read"


class MissingPermission(NotAllowed):
    """Your role or key does not include the permission {permission}."""

    code = "missing_permission"
    shown = ("permission",)


class OrganizationSuspended(NotAllowed):
    """This organization is suspended: its people may look and pay, its API keys do not work."""

    code = "organization_suspended"


class OperatorsOnly(NotAllowed):
    """Only platform operators may do that."""

    code = "operators_only"


class PeopleOnly(NotAllowed):
    """An API key cannot do that; sign in as a person."""

    code = "people_only"


class NoOrganization(NotAllowed):
    """This needs an organization, and you are signed in to none."""

    code = "no_organization"


TokenType = Literal["access", "api_key", "session"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. One principal sees exactly one organization (rule 11)."""

    user_id: UserId
    organization_id: OrganizationId | None
    role: str | None
    permissions: frozenset[Permission]
    is_operator: bool
    token_type: TokenType
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    token_id: str | None = None
    email: str = ""
    withheld: frozenset[Permission] = frozenset()
    """What the role would allow if the organization were not suspended."""

    @property
    def actor(self) -> str:
        """The caller as the audit log names it: a key where a key was used, else the person."""
        if self.api_key_id is not None:
            return f"key:{self.api_key_id}"
        return f"user:{self.user_id}"

    @property
    def organization(self) -> OrganizationId:
        """The organization this request is about. Raises `NoOrganization` when there is none."""
        if self.organization_id is None:
            raise NoOrganization
        return self.organization_id

    def require(self, permission: Permission) -> None:
        """Raises `MissingPermission` or `OrganizationSuspended` for who does not hold it."""
        require(permission, self.permissions, self.withheld)

    def require_person(self) -> None:
        """Raises `PeopleOnly` for an API key: keys do not touch accounts, sessions or members."""
        if self.api_key_id is not None:
            raise PeopleOnly

    def require_operator(self) -> None:
        """Raises `OperatorsOnly` unless the caller is a platform operator."""
        if not self.is_operator:
            raise OperatorsOnly


def require(
    permission: Permission, held: frozenset[Permission], withheld: frozenset[Permission]
) -> None:
    """Raises `OrganizationSuspended` where that is the reason, else `MissingPermission`."""
    if permission in held:
        return
    if permission in withheld:
        raise OrganizationSuspended
    raise MissingPermission(permission=permission.value)
