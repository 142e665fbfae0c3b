"""The door for API clients: authentication, parameters, idempotency, faults, answers."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from app.sandbox.config import API_VERSION
from app.sandbox.core import forms, ids
from app.sandbox.core.expanding import expanded
from app.sandbox.core.faults import AFTERWARDS, Fault, Faults
from app.sandbox.core.idempotency import Replies, Reply, fingerprint
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Many, Text
from app.sandbox.core.refusals import Refusal
from app.sandbox.core.sandbox import Cause, Sandbox
from app.sandbox.core.spoiling import Spoiled
from app.sandbox.nouns.catalog import INCLUDABLE, OPERATIONS, UNDOCUMENTED

_log = logging.getLogger("sandbox.api")
_LARGEST_BODY = 1_000_000
_EXPAND = Many(Text(most=200), most=50)


class Api:
    """Answers every `/v1` and `/v2` call; knows nothing of any noun."""

    def __init__(
        self,
        sandbox: Sandbox,
        faults: Faults,
        before: Callable[[], object],
        after: Callable[[], object],
    ) -> None:
        self._sandbox = sandbox
        self._replies = Replies(sandbox)
        self._faults = faults
        self._before = before
        self._after = after

    async def answer(self, request: Request) -> Response:
        request_id = ids.new("req", 14)
        replayed = False
        try:
            reply, replayed = await self._answer(request, request_id)
        except Refusal as refusal:
            reply = Reply(refusal.status, refusal.body())
        except Spoiled as spoiled:
            return await spoiled.answer(request)
        except Exception:  # noqa: BLE001 - the last door: a client gets JSON, never a trace
            _log.exception("sandbox.call_failed")
            reply = Reply(500, _api_error("An unknown error occurred").body())
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        if key := request.headers.get("idempotency-key"):
            headers["Idempotency-Key"] = key.encode("ascii", "replace").decode()
        body = json.dumps(reply.body, indent=2).encode()
        return Response(body, reply.status, headers, media_type="application/json")

    async def _answer(self, request: Request, request_id: str) -> tuple[Reply, bool]:
        self._authenticate(request)
        operation, names = _route(request.method, request.url.path)
        raw = await _parameters(request)
        fault = self._faults.take(request.method, request.url.path)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is None:
            await _strike(fault)
            reply = self._perform(operation, names, raw, request_id, None, "")
            return _delivered(reply, fault), False
        mark = fingerprint(request.method, request.url.path, raw)
        with self._replies.claim(key):
            await _strike(fault)
            if earlier := self._replies.earlier(key, mark):
                return earlier, True
            reply = self._perform(operation, names, raw, request_id, key, mark)
        return _delivered(reply, fault), False

    def _perform(
        self,
        operation: Operation,
        names: dict[str, str],
        raw: dict[str, forms.Raw],
        request_id: str,
        key: str | None,
        mark: str,
    ) -> Reply:
        # What fails to be read was never begun, so its key stays free, as at Stripe.
        sent = dict(raw)
        paths = _EXPAND.read(sent.pop("expand"), "expand") if "expand" in sent else []
        params = operation.takes.read(sent, "")
        sandbox = self._sandbox
        self._before()
        try:
            with sandbox.unit(Cause(request_id, key)):
                try:
                    result = operation.run(
                        sandbox, params if isinstance(params, dict) else {}, names
                    )
                    reply = Reply(200, expanded(sandbox, result, list(paths), INCLUDABLE))
                except Refusal as refusal:
                    reply = Reply(refusal.status, refusal.body())
                    if not refusal.keeps_changes:
                        raise
                if key is not None:
                    self._replies.remember(key, mark, reply)
        except Refusal:
            if key is not None:
                with sandbox.store.transaction():
                    self._replies.remember(key, mark, reply)
        self._after()
        return reply

    def _authenticate(self, request: Request) -> None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        key = credentials.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key).decode().partition(":")[0]
            except ValueError:
                key = ""
        if not key:
            raise Refusal(
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer "
                "YOUR_SECRET_KEY').",
                status=401,
            )
        if key != self._sandbox.config.secret_key:
            shown = key[:8] + "*" * 8 + key[-4:] if len(key) > 16 else "****"
            raise Refusal(f"Invalid API Key provided: {shown}", status=401)


def _route(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    for operation in (*OPERATIONS, *UNDOCUMENTED):
        if operation.method == method and (match := operation.pattern.match(path)):
            return operation, match.groupdict()
    raise Refusal(f"Unrecognized request URL ({method}: {path}).", status=404)


async def _parameters(request: Request) -> dict[str, forms.Raw]:
    query = request.scope.get("query_string", b"")
    if request.method != "POST":
        sent = forms.decode(query)
        if "stripe-request-trigger" in request.headers:
            # The SDK says in the query why it follows up a thin event.
            sent.pop("usage", None)
        return sent
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Refusal("The request is too large.", status=413)
    kind = request.headers.get("content-type", "")
    if request.url.path.startswith("/v2/"):
        return _from_json(body, kind)
    if body and not kind.startswith("application/x-www-form-urlencoded"):
        raise Refusal(
            "Invalid request (check that your POST content type is "
            "application/x-www-form-urlencoded)."
        )
    return forms.decode(body + b"&" + query if query else body)


def _from_json(body: bytes, kind: str) -> dict[str, forms.Raw]:
    """The second version of the API speaks JSON."""
    try:
        read = json.loads(body) if body else {}
    except ValueError:
        read = None
    if not isinstance(read, dict) or (body and not kind.startswith("application/json")):
        raise Refusal("Invalid request: the body must be a JSON object, sent as application/json.")
    sent = forms.from_json(read)
    return sent if isinstance(sent, dict) else {}


async def _strike(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "rate_limit":
        raise Refusal("Request rate limit exceeded.", status=429, code="rate_limit")
    elif fault.kind == "server_error":
        raise _api_error("Something went wrong on Stripe's end, on order.")
    elif fault.kind not in AFTERWARDS:
        raise Spoiled(fault.kind)


def _delivered(reply: Reply, fault: Fault | None) -> Reply:
    if fault is not None and fault.kind == "lost_answer":
        raise _api_error("The answer to this request was lost, on order.")
    if fault is not None and fault.kind in AFTERWARDS:
        raise Spoiled(fault.kind, reply.body)
    return reply


def _api_error(message: str) -> Refusal:
    return Refusal(message, status=500, type="api_error")
