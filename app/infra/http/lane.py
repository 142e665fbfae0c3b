"""A short way in front of the framework, for the few operations that are most of the traffic.

An ordinary request passes a stack of layers, a router and a dozen objects, which costs more than
the work of a hot operation. The lane takes a request only if it is plain: an exact path, headers
that come once, a body in one piece and within bounds, a caller who is known already and may do
this. Everything else it hands on untouched, so every refusal at the door is the ordinary one; both
ways then call the same operation.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.infra.http.edge import (
    MAX_BODY_BYTES,
    Pairs,
    answer_to,
    has_nul,
    header_pairs,
    request_id_of,
)
from app.infra.http.principal import PrincipalResolver, current_principal
from app.infra.http.problems import problem_of, validation_problem
from app.infra.http.provide import Services
from app.infra.telemetry.context import request_id
from app.infra.telemetry.metrics import HTTP_SECONDS
from app.kernel.errors import BillingError
from app.kernel.ids import UserId
from app.kernel.principal import Permission, Principal

_JSON = "application/json"
NOBODY = Principal(UserId(UUID(int=0)), None, None, frozenset(), False, "access")
"""Who asks for an operation that nobody need be known for."""


# Made for each request; freezing it would cost more than the rest of it.
@dataclass(slots=True)
class HotRequest:
    """What a hot operation is given. Names of headers are in lower case.

    `name` is the part of the path that its template leaves open, if it does.
    """

    principal: Principal
    headers: Mapping[bytes, bytes] = field(repr=False)
    query: bytes
    body: bytes
    name: str


HotAnswer = tuple[int, bytes] | tuple[int, bytes, Pairs]
"""A status and a JSON text, and headers where there are any of its own."""


class Handle(Protocol):
    """Raises what other endpoints raise: `BillingError`, and `RequestValidationError`."""

    async def __call__(self, services: Services, request: HotRequest) -> HotAnswer: ...


@dataclass(frozen=True, slots=True)
class HotOperation:
    """One operation, served by the lane and by the route that declares it.

    A light one waits for futures and tasks only, and itself neither queries nor asks which task
    it is: it may run without one.
    """

    permission: Permission | None
    """None for what nobody need be known for; whoever handles it verifies it."""
    handle: Handle
    is_light: bool = False

    async def answer(self, request: Request) -> Response:
        """The ordinary way: what the endpoint of the declared route returns."""
        principal = NOBODY
        if self.permission is not None:
            principal = await current_principal(request)
            principal.require(self.permission)
        scope = request.scope
        # Of a header that comes twice the first counts, as everywhere.
        headers = dict(reversed(scope["headers"]))
        name = next(iter(request.path_params.values()), "")
        hot = HotRequest(principal, headers, scope["query_string"], await request.body(), name)
        status, body, *more = await self.handle(request.app.state.services, hot)
        answer = Response(body, status, media_type=_JSON)
        answer.raw_headers += more[0] if more else ()
        return answer


class HotRoute(APIRoute):
    """A route whose endpoint takes the request itself; declared dependencies are documentation."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        endpoint: Callable[[Request], Awaitable[Response]] = self.endpoint
        return endpoint


class Served:
    """An operation at a path, with the series that its good answers are counted in."""

    __slots__ = ("handle", "has_body", "is_light", "method", "path", "permission", "seconds")

    def __init__(self, method: str, path: str, operation: HotOperation) -> None:
        self.method = method
        self.path = path
        self.permission = operation.permission
        self.handle = operation.handle
        self.is_light = operation.is_light
        self.has_body = method != "GET"
        self.seconds = HTTP_SECONDS.labels(method, path, "2xx")


class Lane:
    """Serves *operations* by method and path below *prefix*, and hands everything else to *app*.

    *headers* and *aliases* are those of `Edge`; the aliases of a path are served like itself.
    With *is_shared*, pages of other origins may ask (CORS); what they ask is never plain.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        operations: Sequence[tuple[str, str, HotOperation]],
        *,
        prefix: str,
        headers: Mapping[str, str],
        aliases: Sequence[tuple[str, str]] = (),
        is_shared: bool = False,
    ) -> None:
        self._app = app
        self._services = services
        self._resolver: PrincipalResolver = services[PrincipalResolver]  # type: ignore[type-abstract]
        self._headers = [(b"content-type", _JSON.encode()), *header_pairs(headers)]
        if is_shared:
            self._headers.append((b"vary", b"Origin"))
        self._lines = lines_of(self._headers)
        self._is_shared = is_shared
        self._served: dict[str, dict[str, Served]] = {}
        self._open: list[tuple[str, str, dict[str, Served]]] = []
        for method, path, operation in operations:
            served = Served(method, path, operation)
            canonical = prefix + path
            for each in (canonical, *_aliases_of(canonical, aliases)):
                self._serve_at(each, method, served)

    def _serve_at(self, path: str, method: str, served: Served) -> None:
        start, opening, rest = path.partition("{")
        if not opening:
            self._served.setdefault(path, {})[method] = served
            return
        end = rest.partition("}")[2]
        for known_start, known_end, methods in self._open:
            if (known_start, known_end) == (start, end):
                methods[method] = served
                return
        self._open.append((start, end, {method: served}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hot, name = self.at(scope.get("path", ""), scope.get("method", ""))
        if hot is None:
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        headers = self.plain(scope["headers"], scope["query_string"])
        caller = None if headers is None else self.caller(hot, headers)
        if headers is None or caller is None or scope.get("root_path"):
            await self._app(scope, receive, send)
            return
        taken: list[Message] = []
        body = await _take_body(receive, taken) if hot.has_body else b""
        if body is None:
            await self._app(scope, _after(taken, receive), send)
            return
        principal = self.admitted(hot, caller, body)
        if principal is None:
            await self._app(scope, _after(taken, receive), send)
            return
        request = HotRequest(principal, headers, scope["query_string"], body, name)
        await self._serve(hot, request, send, started_at)

    def at(self, path: str, method: str) -> tuple[Served | None, str]:
        """What is served there, and the part of *path* that its template leaves open."""
        known = self._served.get(path)
        name, served = ("", known) if known is not None else self._named(path)
        return served.get(method), name

    def _named(self, path: str) -> tuple[str, Mapping[str, Served]]:
        """The part of *path* that a template leaves open, and what is served there."""
        for start, end, served in self._open:
            if path.startswith(start) and path.endswith(end):
                name = path[len(start) : len(path) - len(end)]
                if name and "/" not in name:
                    return name, served
        return "", {}

    def plain(
        self, pairs: Sequence[tuple[bytes, bytes]], query: bytes
    ) -> dict[bytes, bytes] | None:
        """The headers of a request that asks for nothing but its operation."""
        headers: dict[bytes, bytes] = dict(pairs)
        if len(headers) != len(pairs) or b"%00" in query:
            return None
        if self._is_shared and b"origin" in headers:
            return None
        length = headers.get(b"content-length", b"0")
        return headers if length.isdigit() and int(length) <= MAX_BODY_BYTES else None

    def caller(self, hot: Served, headers: Mapping[bytes, bytes]) -> bytes | None:
        """What the caller is remembered by, empty where nobody need be known."""
        if hot.permission is None:
            return b""
        authorization = headers.get(b"authorization")
        if authorization is not None:
            if authorization[:7] != b"Bearer ":
                return None
            return self._resolver.fingerprint(authorization[7:])
        key = headers.get(b"x-api-key")
        return None if key is None else self._resolver.fingerprint_of_key(key)

    def admitted(self, hot: Served, caller: bytes, body: bytes) -> Principal | None:
        """Who asks, if they may and what they ask is for the lane.

        To be asked when the body is there: it can be long in coming, and a revocation must bite
        meanwhile.
        """
        if has_nul(body):
            return None
        if hot.permission is None:
            return NOBODY
        principal = self._resolver.recall(caller)
        return principal if principal and hot.permission in principal.permissions else None

    async def answered(
        self, hot: Served, request: HotRequest, started_at: float
    ) -> tuple[int, bytes, bytes]:
        """Status, body and header lines; the context that this runs in is the request's own."""
        current = request_id_of(request.headers.get(b"x-request-id"))
        request_id.set(current)
        status, body, pairs = await self._outcome(hot, request, started_at)
        lines = self._lines if pairs is self._headers else lines_of(pairs)
        return status, body, b"x-request-id: %b\r\n%b" % (current.encode(), lines)

    async def _serve(self, hot: Served, request: HotRequest, send: Send, started_at: float) -> None:
        current = request_id_of(request.headers.get(b"x-request-id"))
        token = request_id.set(current)
        try:
            status, body, pairs = await self._outcome(hot, request, started_at)
            await send(
                {
                    "type": "http.response.start",
                    "status": status,
                    "headers": [
                        (b"content-length", b"%d" % len(body)),
                        (b"x-request-id", current.encode()),
                        *pairs,
                    ],
                }
            )
            await send({"type": "http.response.body", "body": body})
        finally:
            request_id.reset(token)

    async def _outcome(
        self, hot: Served, request: HotRequest, started_at: float
    ) -> tuple[int, bytes, Pairs]:
        """What the operation answers or how it is refused, counted."""
        status = 500
        pairs = self._headers
        try:
            status, body, *more = await hot.handle(self._services, request)
            if more:
                pairs = [*more[0], *pairs]
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            refusal = _refusal(error, hot.path)
            status, body = refusal.status_code, bytes(refusal.body)
            own = [pair for pair in refusal.raw_headers if pair[0] != b"content-length"]
            pairs = own + pairs[1:]
        finally:
            seconds = hot.seconds
            if status >= 300:
                seconds = HTTP_SECONDS.labels(hot.method, hot.path, f"{status // 100}xx")
            seconds.observe(time.perf_counter() - started_at)
        return status, body, pairs


def lines_of(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are written."""
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])


def _refusal(error: Exception, path: str) -> Response:
    if isinstance(error, BillingError):
        return problem_of(error)
    if isinstance(error, RequestValidationError):
        return validation_problem(error.errors())
    return answer_to(error, path)


async def _take_body(receive: Receive, taken: list[Message]) -> bytes | None:
    """The body, or None where it is for the edge to refuse; its messages go into *taken*."""
    message = await receive()
    taken.append(message)
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        taken.append(message)
        body += message.get("body", b"")
    is_whole = message["type"] == "http.request" and len(body) <= MAX_BODY_BYTES
    return body if is_whole else None


def _after(taken: list[Message], receive: Receive) -> Receive:
    """As *receive*, with the messages before it that were taken already."""
    again = iter(taken)

    async def receive_again() -> Message:
        return next(again, None) or await receive()

    return receive_again


def _aliases_of(path: str, aliases: Sequence[tuple[str, str]]) -> list[str]:
    """Every other path that the edge would rename to *path*."""
    renamed = [alias + path[len(to) :] for alias, to in aliases if path.startswith(to)]
    return [
        each
        for each in renamed
        # Of several aliases that fit, the edge takes the first.
        if next((to + each[len(alias) :] for alias, to in aliases if each.startswith(alias)), "")
        == path
    ]
