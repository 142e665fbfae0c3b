"""Pages as plain HTML: templates, small helpers, and the answers they are sent in."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from app.sandbox.billing import amounts
from app.sandbox.core import forms
from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox

_LARGEST_FORM = 20_000


def _day(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%-d %B %Y}"


def _every(price: Doc) -> str:
    recurring = price["recurring"]
    count = recurring["interval_count"]
    return str(recurring["interval"] if count == 1 else f"{count} {recurring['interval']}s")


_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters.update(day=_day, every=_every)
_pages.globals["money"] = amounts.shown

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_pages.get_template(template).render(**values), status, _HEADERS)


def not_found(what: str) -> HTMLResponse:
    return page("message.html", 404, title="Not found", text=f"There is no such {what}.", link=None)


def go(url: str) -> RedirectResponse:
    """Send the browser on with a GET, so that a reload repeats nothing."""
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            return {}
    return {key: value for key, value in forms.decode(body).items() if isinstance(value, str)}


class Page:
    """A page of the account: what is due is done before it is shown."""

    def __init__(
        self, sandbox: Sandbox, before: Callable[[], object], after: Callable[[], object]
    ) -> None:
        self._sandbox = sandbox
        self._before = before
        self._after = after
