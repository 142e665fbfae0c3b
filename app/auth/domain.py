"""What signing in produces, and what tokens and keys look like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from app.kernel.ids import MalformedId, OrganizationId, UserId, decode_id, encode_id
from app.kernel.principal import Permission
from app.organizations.domain import Belonging
from app.users.domain import Person

API_ACCESS = "api_access"
"""The feature a plan needs for its keys to work."""

KEY_START = "ara_"
REFRESH_START = "art_"
KEY_RANDOM_LENGTH = 40
_SHOWN_LENGTH = 8
_ORGANIZATION_LENGTH = 26

TOUCH_EVERY = timedelta(minutes=1)
"""How often "last used" is written, at most."""

DEFAULT_SCOPES = frozenset(
    {
        Permission.ORGANIZATION_READ,
        Permission.BILLING_READ,
        Permission.USAGE_READ,
        Permission.USAGE_WRITE,
        Permission.BUDGETS_READ,
    }
)
"""What a key may do when nobody said: meter, and look."""


class SessionKind(StrEnum):
    TOKENS = "tokens"
    """A token pair; its refresh tokens are one family."""
    BROWSER = "browser"
    """A cookie."""


class OneTimePurpose(StrEnum):
    PASSWORD_RESET = "password_reset"  # noqa: S105
    EMAIL_VERIFICATION = "email_verification"


LIFETIMES = {
    OneTimePurpose.PASSWORD_RESET: timedelta(hours=1),
    OneTimePurpose.EMAIL_VERIFICATION: timedelta(days=3),
}


@dataclass(frozen=True, slots=True)
class Device:
    """Where a sign-in came from, for the list of sessions."""

    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says."""

    user_id: UserId
    organization_id: OrganizationId | None
    session_id: UUID
    token_id: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair:
    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """The cookie of a session and the token that proves a page of ours sent a request."""

    cookie: str
    csrf_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedInBrowser:
    """Someone with a fresh browser session."""

    person: Person
    belonging: Belonging | None
    session: BrowserSession


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Someone with a fresh token pair, in the organization that it is for."""

    person: Person
    belonging: Belonging | None
    tokens: TokenPair


@dataclass(frozen=True, slots=True)
class Profile:
    """Someone as they see themselves."""

    person: Person
    belongings: list[Belonging]
    has_api_key: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A device that is signed in."""

    id: UUID
    user_id: UserId
    organization_id: OrganizationId | None
    kind: SessionKind
    device: Device
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown; its secret is not kept."""

    id: UUID
    organization_id: OrganizationId
    user_id: UserId
    name: str
    prefix: str
    scopes: frozenset[Permission]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made, with the one chance to read it."""

    key: ApiKey
    secret: str


def make_key(organization_id: OrganizationId, random: str) -> str:
    """A key: `ara_`, KEY_RANDOM_LENGTH random letters and digits, and the organization's 26.

    It names its organization, so that looking it up begins with the tenant like every query.
    """
    return f"{KEY_START}{random}{encode_id('o', organization_id)[2:]}"


def shown_part(key: str) -> str:
    """What lists show of a key: enough to tell keys apart, 32 random characters too few to use."""
    return key[: len(KEY_START) + _SHOWN_LENGTH]


def organization_of(key: str) -> OrganizationId | None:
    """The organization a key names, or None for what cannot be a key."""
    if len(key) != len(KEY_START) + KEY_RANDOM_LENGTH + _ORGANIZATION_LENGTH:
        return None
    try:
        return OrganizationId(decode_id("o", f"o_{key[-_ORGANIZATION_LENGTH:]}"))
    except MalformedId:
        return None
