"""Tokens: random ones that are stored as keyed hashes, and signed ones that carry claims."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from collections.abc import Mapping
from typing import Any

import jwt

_ALPHANUMERIC = string.ascii_letters + string.digits
_ALGORITHM = "HS256"
_KNOWN_ALGORITHMS = (_ALGORITHM,)


class InvalidToken(ValueError):
    """The token was not signed here, or lacks a claim."""


def random_token(length: int = 43) -> str:
    """*length* letters and digits, 5.95 bits each; 43 are a 256-bit secret."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


class KeyedHash:
    """Turns secrets into what may be stored: without the key, a stolen table tells nothing."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, secret: str) -> bytes:
        return hmac.digest(self._key, secret.encode(), hashlib.sha256)

    def text(self, secret: str) -> str:
        return self.of(secret).hex()

    def matches(self, secret: str, text: str) -> bool:
        """Whether *text* is this secret's hash, in time that does not depend on where it differs."""
        return hmac.compare_digest(self.text(secret).encode(), text.encode())


class SignedClaims:
    """JWTs with one algorithm and a fixed set of required claims.

    Time is left to the caller, who has the service's clock; the library would read its own.
    """

    def __init__(self, key: bytes, required: tuple[str, ...]) -> None:
        self._key = key
        self._required = list(required)

    def sign(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> dict[str, Any]:
        """The claims of a token that was signed here. Raises `InvalidToken`."""
        try:
            return jwt.decode(
                token,
                self._key,
                algorithms=_KNOWN_ALGORITHMS,
                options={
                    "require": self._required,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
            raise InvalidToken(type(error).__name__) from None
