"""What `auth` refuses."""

from app.kernel.errors import (
    Conflict,
    Malformed,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PaymentRequired,
    Refused,
)


class TokenExpired(NotAuthenticated):
    """This token has expired; refresh it or sign in again."""

    code = "token_expired"


class TokenRevoked(NotAuthenticated):
    """This token, key or session is no longer valid; sign in again."""

    code = "token_revoked"


class InvalidRefreshToken(NotAuthenticated):
    """This refresh token is not valid; sign in again."""

    code = "invalid_refresh_token"


class RefreshTokenReused(NotAuthenticated):
    """This refresh token was used before, so its session has been ended; sign in again."""

    code = "refresh_token_reused"


class AccountSuspended(NotAllowed):
    """This account is suspended."""

    code = "account_suspended"


class KeysNotInPlan(NotAllowed):
    """The organization's plan does not include API keys."""

    code = "feature_not_in_plan"
    shown = ("feature", "plan", "upgrade_to")


class ApiAccessNotInPlan(PaymentRequired):
    """The plan {plan} does not include API keys."""

    code = "feature_not_in_plan"
    shown = ("feature", "plan", "upgrade_to")


class CsrfRefused(NotAllowed):
    """A browser session needs its CSRF token in the X-CSRF-Token header for this method."""

    code = "csrf_failed"


class SessionNotFound(NotFound):
    """There is no such session."""

    code = "session_not_found"


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "token_not_found"


class ApiKeyNotFound(NotFound):
    """There is no such API key."""

    code = "api_key_not_found"


class ApiKeyRotated(Conflict):
    """This API key has been rotated already."""

    code = "api_key_rotated"


class ApiKeyExpired(Conflict):
    """This API key has expired; make a new one."""

    code = "api_key_expired"


class ExpiryInThePast(Malformed):
    """A key expires in the future or not at all."""

    code = "expiry_in_the_past"


class OneTimeTokenRefused(Refused):
    """This link is not valid: it has expired, been used, or been replaced by a newer one."""

    code = "invalid_token"
