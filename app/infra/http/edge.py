"""The one ASGI layer around every request: id, limits, headers, metrics, and the last catch.

Rivals were a middleware per concern; each costs every request, and only one place can promise that
whatever happens inside, the caller gets a problem document with the request's id.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.infra.http.problems import (
    DATABASE_RETRY_SECONDS,
    DatabaseUnavailable,
    internal_problem,
    is_database_loss,
    problem,
    problem_of,
)
from app.infra.telemetry.context import request_id
from app.infra.telemetry.metrics import HTTP_SECONDS

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


# Ids of requests are names, not secrets; the system's entropy would cost ten times as much.
_NAMES = random.Random()  # noqa: S311

Pairs = list[tuple[bytes, bytes]]


class _BodyTooLarge(Exception):
    """More than MAX_BODY_BYTES arrived."""


class Edge:
    """Wraps the application; *headers* are added to every answer, *aliases* rename path prefixes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Mapping[str, str],
        aliases: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._app = app
        self._aliases = aliases
        self._headers = header_pairs(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._canonical(scope)
        started_at = time.perf_counter()
        current = request_id_of(_first(scope, b"x-request-id"))
        token = request_id.set(current)
        status = 500
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", current.encode()),
                    *(pair for pair in self._headers if pair[0] not in own),
                ]
            await send(message)

        try:
            refusal = _refused(scope)
            if refusal is not None:
                await refusal(scope, receive, send_with_headers)
                return
            if scope["method"] not in _WITHOUT_BODY:
                # Bodies are at most 1 MiB, so they are read here, where size and NUL are judged.
                body = await _read_body(receive)
                if body is None:
                    return
                if has_nul(body):
                    await _nul()(scope, receive, send_with_headers)
                    return
                receive = _replayed(body, receive)
            await self._app(scope, receive, send_with_headers)
        except _BodyTooLarge:
            if begun:
                raise
            await _too_large()(scope, receive, send_with_headers)
        except Exception as error:
            if begun:
                log.exception("http.broken_answer", path=scope["path"])
                raise
            await answer_to(error, scope["path"])(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            HTTP_SECONDS.labels(
                scope["method"] if route is not None else "other",
                getattr(route, "path", "unmatched"),
                f"{status // 100}xx",
            ).observe(time.perf_counter() - started_at)
            request_id.reset(token)

    def _canonical(self, scope: Scope) -> Scope:
        path: str = scope["path"]
        if not path.startswith("/api/v1/"):
            for alias, prefix in self._aliases:
                if path.startswith(alias):
                    path = prefix + path[len(alias) :]
                    return {**scope, "path": path, "raw_path": path.encode()}
        return scope


def header_pairs(headers: Mapping[str, str]) -> Pairs:
    """Headers as ASGI wants them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def request_id_of(given: bytes | None) -> str:
    """The caller's id of this request if it is harmless, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{_NAMES.getrandbits(128):032x}"


def answer_to(error: Exception, path: str) -> Response:
    """The problem document for what nobody expected; it is logged here."""
    if is_database_loss(error):
        log.warning("http.database_unavailable", path=path, error=repr(error))
        return problem_of(DatabaseUnavailable(retry_after_seconds=DATABASE_RETRY_SECONDS))
    log.error("http.unhandled", path=path, exc_info=error)
    return internal_problem()


def _first(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


def _refused(scope: Scope) -> ASGIApp | None:
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        return _nul()
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
            return _too_large()
    return None


def _nul() -> ASGIApp:
    return problem(422, "malformed", "The character U+0000 is not allowed in a request.")


def _too_large() -> ASGIApp:
    return problem(
        413,
        "body_too_large",
        f"A body may have {MAX_BODY_BYTES} bytes.",
        extra={"limit_bytes": MAX_BODY_BYTES},
        headers={"Connection": "close"},
    )


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when the client left. Raises `_BodyTooLarge`."""
    chunks: list[bytes] = []
    seen = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        seen += len(chunk)
        if seen > MAX_BODY_BYTES:
            raise _BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_once


def has_nul(body: bytes) -> bool:
    """Whether a JSON text contains U+0000, which Postgres cannot store in text or jsonb."""
    return b"\x00" in body or (b"\\u0000" in body and _ESCAPED_NUL.search(body) is not None)
