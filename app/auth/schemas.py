"""Sign-in on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, WithJsonSchema

from app.auth.domain import Profile, SignedIn
from app.infra.http.schemas import InputModel, Instant, OutputModel, prefixed_id
from app.kernel.principal import Permission, Principal, TokenType
from app.organizations.domain import Belonging, Role
from app.organizations.schemas import Name, OrganizationSummaryOut
from app.users.domain import MAXIMUM_EMAIL_LENGTH, MAXIMUM_PASSWORD_LENGTH, Person, normalize_email

Email = Annotated[
    str,
    StringConstraints(max_length=MAXIMUM_EMAIL_LENGTH + 100),
    AfterValidator(normalize_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAXIMUM_EMAIL_LENGTH}),
]

Password = Annotated[SecretStr, Field(min_length=1, max_length=MAXIMUM_PASSWORD_LENGTH)]
"""Judged by `users`; only its length is bounded here."""

Token = Annotated[SecretStr, Field(min_length=1, max_length=4096)]

OrganizationId = prefixed_id("org")
UserId = prefixed_id("usr")


class RegisterIn(InputModel):
    email: Email = Field(examples=["ada@example.com"])
    password: Password = Field(examples=["nine-lives-of-a-cat"])
    name: Name = Field(examples=["Ada Lovelace"])
    organization_name: Name | None = Field(None, examples=["Analytical Engines"])


class LoginIn(InputModel):
    email: Email = Field(examples=["ada@example.com"])
    password: Password
    organization_id: OrganizationId | None = None  # type: ignore[valid-type]


class PersonOut(OutputModel):
    id: UserId  # type: ignore[valid-type]
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


class ProfilePatch(InputModel):
    name: Name


class CurrentOrganizationOut(OutputModel):
    """The organization that this token, key or session is for."""

    id: OrganizationId  # type: ignore[valid-type]
    name: str
    slug: str
    role: Role
    tier: str
    permissions: list[Permission]


class ProfileOut(OutputModel):
    """Who you are, and what you are signed in to."""

    id: UserId  # type: ignore[valid-type]
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
