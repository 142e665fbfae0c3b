"""Answers that are no answers: what proxies, cut cables and broken servers make of one."""

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


class Spoiled(Exception):
    """The caller gets something else than an answer in Stripe's shape, or nothing."""

    def __init__(self, kind: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(kind)
        self._kind = kind
        self._body = body

    async def answer(self, request: Request) -> Response:
        if self._kind == "error_text":
            return JSONResponse({"error": "something went wrong"}, 500)
        if self._kind == "html":
            return HTMLResponse(_PAGE, 502)
        if self._kind == "truncated":
            text = json.dumps(self._body, indent=2).encode()
            return Response(text[: len(text) // 2], 200, media_type="application/json")
        return await _hang_up(request)


async def _hang_up(request: Request) -> Response:
    """Close the connection without a word, where there is one."""
    # The server's own object behind `receive` is the only way to the socket that ASGI leaves.
    transport = getattr(getattr(request.receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the connection was closed, on order")
    transport.abort()
    # The server learns in its next turn that nobody is there, and sends nothing.
    await asyncio.sleep(0)
    return Response(status_code=500)
