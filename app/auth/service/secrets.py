"""The keyed hashes under which secrets are stored; each kind has a key of its own."""

from __future__ import annotations

from app.infra.security.secret import SigningSecret
from app.infra.security.tokens import KeyedHash


class Secrets:
    """Hashes of cookies, keys, refresh tokens and one-time tokens, all from the one secret."""

    def __init__(self, secret: SigningSecret) -> None:
        self._cookies = KeyedHash(secret.derive("session-cookies"))
        self._csrf = KeyedHash(secret.derive("csrf-tokens"))
        self._keys = KeyedHash(secret.derive("api-keys"))
        self._refresh = KeyedHash(secret.derive("refresh-tokens"))
        self._one_time = KeyedHash(secret.derive("one-time-tokens"))

    def of_cookie(self, cookie: str) -> str:
        return self._cookies.text(cookie)

    def csrf_token(self, cookie: str) -> str:
        """The token a browser session sends with unsafe methods; it follows from its cookie."""
        return self._csrf.text(cookie)

    def of_key(self, key: str) -> str:
        return self._keys.text(key)

    def of_refresh_token(self, token: str) -> str:
        return self._refresh.text(token)

    def of_one_time_token(self, token: str) -> str:
        return self._one_time.text(token)
