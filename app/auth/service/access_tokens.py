"""Access tokens: signed, short-lived, checked against the service's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.auth.domain import Claims
from app.auth.errors import TokenExpired
from app.infra.security.secret import SigningSecret
from app.infra.security.tokens import InvalidToken, SignedClaims, random_token
from app.kernel.clock import Clock
from app.kernel.errors import NotAuthenticated
from app.kernel.ids import MalformedId, OrganizationId, UserId, decode_id, encode_id

_TYPE = "access"
# `org` and `role` are empty for someone who belongs to no organization.
_CLAIMS = ("sub", "org", "role", "sid", "jti", "iat", "exp", "type")


class AccessTokens:
    """Issues and reads access tokens; whether one was revoked is not asked here."""

    def __init__(self, secret: SigningSecret, lifetime: timedelta, clock: Clock) -> None:
        self._signed = SignedClaims(secret.derive("access-tokens"), _CLAIMS)
        self._clock = clock
        self.lifetime = lifetime

    def issue(
        self,
        user_id: UserId,
        organization_id: OrganizationId | None,
        role: str | None,
        session_id: UUID,
    ) -> str:
        now = int(self._clock.now().timestamp())
        return self._signed.sign(
            {
                "sub": encode_id("usr", user_id),
                "org": encode_id("org", organization_id) if organization_id else "",
                "role": role or "",
                "sid": encode_id("ses", session_id),
                "jti": random_token(22),
                "iat": now,
                "exp": now + int(self.lifetime.total_seconds()),
                "type": _TYPE,
            }
        )

    def read(self, token: str) -> Claims:
        """Raises `TokenExpired`, or `NotAuthenticated` for what was not issued here."""
        claims = self.read_expired(token)
        if claims.expires_at <= self._clock.now():
            raise TokenExpired
        return claims

    def read_expired(self, token: str) -> Claims:
        """As `read`, of a token that may have run out."""
        try:
            found = self._signed.read(token)
            if found["type"] != _TYPE:
                raise NotAuthenticated
            return Claims(
                user_id=UserId(decode_id("usr", found["sub"])),
                organization_id=(
                    OrganizationId(decode_id("org", found["org"])) if found["org"] else None
                ),
                session_id=decode_id("ses", found["sid"]),
                token_id=str(found["jti"]),
                issued_at=datetime.fromtimestamp(found["iat"], UTC),
                expires_at=datetime.fromtimestamp(found["exp"], UTC),
            )
        except (InvalidToken, MalformedId, AttributeError, TypeError, ValueError, OverflowError):
            raise NotAuthenticated from None
