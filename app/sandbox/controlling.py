"""What every group of controls shares: JSON in, JSON out, refusals as Stripe words them."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.sandbox.core.forms import from_json
from app.sandbox.core.params import Doc, Fields
from app.sandbox.core.refusals import Refusal
from app.sandbox.core.sandbox import Sandbox


class Controls:
    """A group of `/_sandbox/` calls."""

    def __init__(self, sandbox: Sandbox, after: Callable[[], object]) -> None:
        self._sandbox = sandbox
        self._after = after

    def _route(self, method: str, path: str, action: Callable[[Request, Doc], Doc]) -> Route:
        async def endpoint(request: Request) -> JSONResponse:
            try:
                sent = await _body(request) if method == "POST" else {}
                answer = JSONResponse(action(request, sent))
            except Refusal as refusal:
                answer = JSONResponse(refusal.body(), refusal.status)
            self._after()
            return answer

        return Route(f"/_sandbox{path}", endpoint, methods=[method])


async def _body(request: Request) -> Any:
    # Only JSON: a page of another origin can post a form here unasked, but not JSON.
    body = await request.body()
    if not body:
        return {}
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal("Controls take application/json.", status=415)
    try:
        return json.loads(body)
    except ValueError:
        raise Refusal("The body is not JSON.") from None


def read(spec: Fields, sent: Any) -> Doc:
    """What was sent, as declared; anything else is refused by name."""
    values = spec.read(from_json(sent), "")
    assert isinstance(values, dict)
    return values
