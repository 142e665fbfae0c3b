"""The one secret of a deployment, from which purposes derive their own keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from app.infra.settings import Settings


class SigningSecret(bytes):
    """Signs tokens and keys hashes; never used bare for two purposes, see `derive`."""

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, so that no two uses of the secret share a key."""
        return hmac.new(self, purpose.encode(), hashlib.sha256).digest()


def signing_secret(settings: Settings) -> SigningSecret:
    """ARAGORA_JWT_SECRET, or in development a fresh one that dies with the process."""
    if settings.jwt_secret is not None:
        return SigningSecret(settings.jwt_secret.get_secret_value().encode())
    return SigningSecret(secrets.token_bytes(32))
