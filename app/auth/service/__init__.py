"""Sign-in and its proofs, by noun."""

from app.auth.service.access_tokens import AccessTokens
from app.auth.service.api_keys import ApiKeyService
from app.auth.service.one_time_tokens import OneTimeTokenService
from app.auth.service.operators import Operators
from app.auth.service.passwords import PasswordService
from app.auth.service.principal_cache import PrincipalCache
from app.auth.service.profiles import ProfileService
from app.auth.service.resolver import Resolver
from app.auth.service.revocations import RevocationService
from app.auth.service.secrets import Secrets
from app.auth.service.sessions import SessionService
from app.auth.service.sign_in import SignInService

__all__ = [
    "AccessTokens",
    "ApiKeyService",
    "OneTimeTokenService",
    "Operators",
    "PasswordService",
    "PrincipalCache",
    "ProfileService",
    "Resolver",
    "RevocationService",
    "Secrets",
    "SessionService",
    "SignInService",
]
