"""Sign-in on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, SecretStr, StringConstraints

from app.auth.domain import (
    ApiKey,
    NewApiKey,
    Profile,
    Session,
    SessionKind,
    SignedIn,
    SignedInBrowser,
)
from app.infra.http.schemas import InputModel, Instant, InstantIn, OutputModel, prefixed_id
from app.kernel.principal import Permission, Principal, TokenType
from app.organizations.domain import Belonging, Role
from app.organizations.schemas import OrganizationSummaryOut
from app.users.domain import MAXIMUM_PASSWORD_LENGTH, Person
from app.users.schemas import Email, Name

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAXIMUM_PASSWORD_LENGTH)]
"""Judged by `users`; only its length is bounded here."""

Token = Annotated[SecretStr, Field(min_length=1, max_length=4096)]

if TYPE_CHECKING:
    from app.kernel.ids import OrganizationId, UserId

    SessionId = UUID
    KeyId = UUID
else:
    OrganizationId = prefixed_id("org")
    UserId = prefixed_id("usr")
    SessionId = prefixed_id("ses")
    KeyId = prefixed_id("key")

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class RegisterIn(InputModel):
    email: Email = Field(examples=["ada@example.com"])
    password: Password = Field(examples=["nine-lives-of-a-cat"])
    name: Name = Field(examples=["Ada Lovelace"])
    organization_name: Name | None = Field(None, examples=["Analytical Engines"])


class LoginIn(InputModel):
    email: Email = Field(examples=["ada@example.com"])
    password: Password
    organization_id: OrganizationId | None = None


class RefreshIn(InputModel):
    refresh_token: Token


class SwitchIn(InputModel):
    organization_id: OrganizationId


class RevocationReasonIn(InputModel):
    reason: Reason | None = None


class RevokeIn(InputModel):
    token: Token
    reason: Reason | None = Field(None, examples=["manual_revocation"])


class ApiKeyIn(InputModel):
    name: Name = Field(examples=["production metering"])
    scopes: list[Permission] | None = Field(
        None,
        max_length=len(Permission),
        description="What the key may do; without it, meter and look.",
        examples=[["usage.write", "usage.read"]],
    )
    expires_at: InstantIn | None = None


class RotationIn(InputModel):
    overlap_seconds: int = Field(
        86_400, ge=0, le=7 * 86_400, description="How long the old key keeps working."
    )


class PersonOut(OutputModel):
    id: UserId
    email: str
    name: str
    is_operator: bool
    email_verified: bool
    created_at: Instant

    @classmethod
    def of(cls, person: Person) -> PersonOut:
        return cls(
            id=person.id,
            email=person.email,
            name=person.name,
            is_operator=person.is_operator,
            email_verified=person.email_verified_at is not None,
            created_at=person.created_at,
        )


class TokenPairOut(OutputModel):
    """Who signed in, where, and the tokens for it. The refresh token works once."""

    user: PersonOut
    organization: OrganizationSummaryOut | None
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds for which the access token works.")

    @classmethod
    def of(cls, signed_in: SignedIn) -> TokenPairOut:
        return cls(
            user=PersonOut.of(signed_in.person),
            organization=_summary(signed_in.belonging),
            access_token=signed_in.tokens.access_token,
            refresh_token=signed_in.tokens.refresh_token,
            token_type="bearer",  # noqa: S106
            expires_in=signed_in.tokens.expires_in,
        )


class BrowserSessionOut(OutputModel):
    """Who signed in and where; the cookie is in the header."""

    user: PersonOut
    organization: OrganizationSummaryOut | None
    csrf_token: str
    expires_at: Instant

    @classmethod
    def of(cls, signed_in: SignedInBrowser) -> BrowserSessionOut:
        return cls(
            user=PersonOut.of(signed_in.person),
            organization=_summary(signed_in.belonging),
            csrf_token=signed_in.session.csrf_token,
            expires_at=signed_in.session.expires_at,
        )


class CsrfOut(OutputModel):
    csrf_token: str
    token_type: TokenType

    @classmethod
    def of(cls, csrf_token: str, principal: Principal) -> CsrfOut:
        return cls(csrf_token=csrf_token, token_type=principal.token_type)


class SessionOut(OutputModel):
    """A device that is signed in."""

    id: SessionId
    kind: SessionKind
    organization_id: OrganizationId | None
    user_agent: str
    address: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    is_current: bool

    @classmethod
    def of(cls, session: Session, principal: Principal) -> SessionOut:
        return cls(
            id=session.id,
            kind=session.kind,
            organization_id=session.organization_id,
            user_agent=session.device.user_agent,
            address=session.device.address,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            is_current=session.id == principal.session_id,
        )


class ApiKeyOut(OutputModel):
    """A key as lists show it; `prefix` is what its secret begins with."""

    id: KeyId
    name: str
    prefix: str
    scopes: list[Permission]
    created_by: UserId
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None = Field(description="Exact to about a minute.")
    rotated_at: Instant | None

    @classmethod
    def of(cls, key: ApiKey) -> ApiKeyOut:
        return cls(**_key_fields(key))


class NewApiKeyOut(ApiKeyOut):
    """A key just made, with its secret: copy it now, it is not kept."""

    key: str

    @classmethod
    def made(cls, made: NewApiKey) -> NewApiKeyOut:
        return cls(**_key_fields(made.key), key=made.secret)


def _key_fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_by": key.user_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "rotated_at": key.rotated_at,
    }


class PasswordChangeIn(InputModel):
    current_password: Password
    new_password: Password


class PasswordForgottenIn(InputModel):
    email: Email


class PasswordResetIn(InputModel):
    token: Token
    new_password: Password


class EmailVerificationIn(InputModel):
    token: Token


class ProfilePatch(InputModel):
    name: Name


class CurrentOrganizationOut(OutputModel):
    """The organization that this token, key or session is for."""

    id: OrganizationId
    name: str
    slug: str
    role: Role
    tier: str
    permissions: list[Permission]


class ProfileOut(OutputModel):
    """Who you are, and what you are signed in to."""

    id: UserId
    email: str
    name: str
    is_operator: bool
    email_verified: bool
    has_api_key: bool
    organizations: list[OrganizationSummaryOut]
    organization: CurrentOrganizationOut | None
    token_type: TokenType
    created_at: Instant

    @classmethod
    def of(cls, profile: Profile, principal: Principal) -> ProfileOut:
        person = profile.person
        visible = [
            belonging
            for belonging in profile.belongings
            # A key is for one organization and learns nothing of its maker's others.
            if principal.api_key_id is None
            or belonging.organization.id == principal.organization_id
        ]
        current = next(
            (each for each in visible if each.organization.id == principal.organization_id), None
        )
        return cls(
            id=person.id,
            email=person.email,
            name=person.name,
            is_operator=person.is_operator,
            email_verified=person.email_verified_at is not None,
            has_api_key=profile.has_api_key,
            organizations=[OrganizationSummaryOut.of(each) for each in visible],
            organization=_current(current, principal),
            token_type=principal.token_type,
            created_at=person.created_at,
        )


def _summary(belonging: Belonging | None) -> OrganizationSummaryOut | None:
    return OrganizationSummaryOut.of(belonging) if belonging is not None else None


def _current(belonging: Belonging | None, principal: Principal) -> CurrentOrganizationOut | None:
    if belonging is None:
        return None
    found = belonging.organization
    return CurrentOrganizationOut(
        id=found.id,
        name=found.name,
        slug=found.slug,
        role=belonging.role,
        tier=found.entitlements.plan,
        permissions=sorted(principal.permissions),
    )
