"""The same key twice: the first answer again, never a second effect."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.sandbox.core.refusals import Refusal
from app.sandbox.core.sandbox import Sandbox

_KEPT_SECONDS = 86_400


@dataclass(frozen=True)
class Reply:
    status: int
    body: dict[str, Any]


class Replies:
    """The answers given under idempotency keys in the last day."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._store = sandbox.store
        self._running: set[str] = set()

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold a key while its request runs; a second request meanwhile is refused."""
        if len(key) > 255:
            raise Refusal("Idempotency keys are at most 255 characters.", type="idempotency_error")
        if key in self._running:
            raise Refusal(
                f"There is currently another in-progress request using this Idempotent Key: {key}.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        self._running.add(key)
        try:
            yield
        finally:
            self._running.discard(key)

    def earlier(self, key: str, request: str) -> Reply | None:
        """The answer this key already has; another request under it is refused."""
        row = self._store.row(
            "SELECT * FROM replies WHERE key = ? AND at > ?",
            key,
            self._sandbox.real_now() - _KEPT_SECONDS,
        )
        if row is None:
            return None
        if row["fingerprint"] != request:
            raise Refusal(
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request.",
                type="idempotency_error",
            )
        return Reply(row["status"], json.loads(row["body"]))

    def remember(self, key: str, request: str, reply: Reply) -> None:
        now = self._sandbox.real_now()
        self._store.run("DELETE FROM replies WHERE at <= ?", now - _KEPT_SECONDS)
        self._store.run(
            "INSERT INTO replies (key, fingerprint, status, body, at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO NOTHING",
            key,
            request,
            reply.status,
            json.dumps(reply.body),
            now,
        )


def fingerprint(method: str, path: str, params: Any) -> str:
    """What makes two requests the same."""
    text = json.dumps([method, path, params], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
